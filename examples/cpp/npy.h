// .npy files, read in blocks of rows: memory stays independent of the file's size.
// Format: numpy.lib.format, versions 1.0 to 3.0; little-endian numbers in C order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

// What the user can mend: what is wrong / file, got, expected / what to do.
struct InputError : std::runtime_error {
    InputError(const std::string& what, const std::string& where, const std::string& advice)
        : std::runtime_error(what + "\n  " + where + "\n  " + advice) {}
};

enum class Dtype { boolean, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, float32, float64 };

using Shape = std::vector<int64_t>;

const char* name_of(Dtype dtype);
std::size_t size_of(Dtype dtype);  // in bytes
bool is_float(Dtype dtype);
std::string text_of(const Shape& shape);  // as in [8, 3]
int64_t product_of(const Shape& shape, std::size_t from = 0);

// Rows as they are stored, in C order.
struct Array {
    std::string name;  // the file's, for messages
    Dtype dtype;
    Shape shape;
    std::vector<std::byte> bytes;
};

// Returns the array's integers (or booleans) as int64; throws InputError if a uint64 does not fit.
std::vector<int64_t> as_int64(const Array& array);

// The rows of a .npy file.
class NpyFile {
public:
    // Throws InputError if the file is missing, damaged, truncated, or holds what the programs do not read.
    explicit NpyFile(const std::string& path);

    const std::string& name() const { return name_; }
    Dtype dtype() const { return dtype_; }
    const Shape& shape() const { return shape_; }

    // Returns rows start to stop; throws InputError if the file became shorter.
    Array read(int64_t start, int64_t stop);

private:
    std::string name_;
    std::ifstream file_;
    Dtype dtype_{};
    Shape shape_;
    uint64_t offset_ = 0;  // of the data, in bytes
};
