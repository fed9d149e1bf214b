// What both programs share: the command line, the check of the two arrays, and the table of losses.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "metadata.h"
#include "npy.h"

// A loss, loaded from a file.
class Model {
public:
    virtual ~Model() = default;

    // Returns what the file says of itself.
    virtual Metadata metadata() const = 0;

    // Returns the loss of each sample of a block; throws InputError if the model does not take the arrays.
    virtual std::vector<double> losses(const Array& preds, const Array& labels) = 0;
};

// What distinguishes one program from the other.
struct Program {
    std::string name;
    std::string focal;        // the focal loss's file below models/
    std::string option;       // the program's own option, as in --device
    std::string option_help;  // a line each
    std::string option_value;  // its default
    std::function<std::unique_ptr<Model>(const std::string& path, const std::string& option_value)> load;
};

// Returns the arrays as messages show them: preds.npy: float32 [8, 3], labels.npy: int64 [8].
std::string described(const Array& preds, const Array& labels);

// Returns the error of a model that gives more than the losses, as a scorecard does.
InputError several_columns(const std::string& model, const std::string& got);

// Throws InputError unless the model gave floats [samples].
void check_losses(const std::string& model, const std::string& dtype, bool is_float, const Shape& shape,
                  int64_t samples);

// Scores as the command line says and returns the exit status: 0 done, 2 usage or unusable input.
int score(int argc, char** argv, const Program& program);
