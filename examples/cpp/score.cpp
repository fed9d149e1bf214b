#include "score.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>

namespace {

constexpr int64_t values_per_block = 1 << 16;  // 256 KiB of float32, which stay in a core's cache
constexpr int unusable = 2;

struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

struct Request {
    bool help = false;
    bool only = false;
    bool metadata = false;  // all of them
    std::string models = EVALTOOL_MODELS;
    std::string option_value;
    std::vector<std::string> files;  // preds, labels, and models
};

std::string usage(const Program& program) {
    return "usage: " + program.name + " [options] PREDS LABELS [MODEL...]\n";
}

std::string help(const Program& program) {
    return usage(program) +
           "\n"
           "Prints the loss of every sample: a line each with its index and one loss per model, tab-separated.\n"
           "The first model is evaltool's focal loss, the others are named on the command line. A line that begins\n"
           "with # names the columns. A sample whose label is no class gets nan. What the model files say of\n"
           "themselves, their metadata, goes to standard error.\n"
           "\n"
           "  PREDS         .npy, float16, float32 or float64: [N, C], [N, C, *S] or [N]\n"
           "  LABELS        .npy, integers, bool or floats: the same shape, or the same without C\n"
           "  MODEL         a loss that evaltool exported, such as " +
           std::filesystem::path(program.focal).filename().string() +
           "; it is run: check where it comes from\n"
           "  --metadata    print all that a model file says of itself, not only what its loss computes\n"
           "  --only        score with the MODELs alone, without the focal loss\n"
           "  --models DIR  where " +
           program.focal + " is\n                (default " + EVALTOOL_MODELS + ")\n" + program.option_help +
           "  -h, --help    show this and exit\n"
           "\n"
           "Exit status: 0 done; 2 usage or unusable input.\n"
           "\n"
           "Example:\n"
           "  " +
           program.name + " preds.npy labels.npy > losses.tsv\n";
}

Request parsed(int argc, char** argv, const Program& program) {
    Request request;
    request.option_value = program.option_value;
    bool options = true;  // until --
    for (int i = 1; i < argc; ++i) {
        const std::string argument = argv[i];
        const auto value = [&] {
            if (++i == argc) throw UsageError(argument + " needs a value");
            return std::string(argv[i]);
        };
        if (!options || argument[0] != '-')
            request.files.push_back(argument);
        else if (argument == "--")
            options = false;
        else if (argument == "-h" || argument == "--help")
            request.help = true;
        else if (argument == "--only")
            request.only = true;
        else if (argument == "--metadata")
            request.metadata = true;
        else if (argument == "--models")
            request.models = value();
        else if (argument == program.option)
            request.option_value = value();
        else
            throw UsageError("no such option: " + argument);
    }
    if (request.help) return request;
    if (request.files.size() < 2) throw UsageError("PREDS and LABELS are needed");
    if (request.only && request.files.size() == 2) throw UsageError("--only needs a MODEL");
    return request;
}

// Throws InputError unless the path is a file's; the advice is for one that is missing.
void check_file(const std::string& path, const Program& program, const std::string& advice) {
    std::error_code error;  // a path that cannot be looked at counts as missing
    const auto status = std::filesystem::status(path, error);
    const std::string name = std::filesystem::path(program.focal).filename().string();
    if (!std::filesystem::exists(status)) throw InputError("no such file", path, advice);
    if (std::filesystem::is_directory(status))
        throw InputError("this is a directory", path, "Name the " + name + " in it.");
    if (!std::filesystem::is_regular_file(status))
        throw InputError("this is not a regular file", path + ": a device or a pipe", "Name a " + name + " on a disk.");
}

std::vector<std::string> model_files(const Request& request, const Program& program) {
    std::vector<std::string> files(request.files.begin() + 2, request.files.end());
    for (const std::string& file : files) check_file(file, program, "Check the path.");
    if (request.only) return files;
    const std::string focal = (std::filesystem::path(request.models) / program.focal).string();
    check_file(focal, program, "Say with --models where the folder is, or pass --only and models of your own.");
    files.insert(files.begin(), focal);
    return files;
}

void check_arrays(const NpyFile& preds, const NpyFile& labels) {
    const Shape& shape = preds.shape();
    if (!is_float(preds.dtype()))
        throw InputError("preds are not floats",
                         preds.name() + ": dtype " + name_of(preds.dtype()) + ", expected float16, float32 or float64",
                         "Convert them: np.save(path, preds.astype(np.float32)). Are the two files swapped?");
    Shape without_classes = shape;
    if (shape.size() > 1) without_classes.erase(without_classes.begin() + 1);
    const bool fit = !shape.empty() && (labels.shape() == shape || labels.shape() == without_classes);
    if (!fit) {
        std::string expected = text_of(shape);
        if (shape.size() > 1) expected += " or " + text_of(without_classes);
        throw InputError("labels do not match predictions",
                         preds.name() + ": shape " + text_of(shape) + "\n  " + labels.name() + ": shape " +
                             text_of(labels.shape()) + ", expected " + (shape.empty() ? "an axis of samples" : expected),
                         "Predictions are [N, C, *S], labels [N, *S] or the same shape. Are both of the same samples?");
    }
    if (product_of(shape, 1) == 0)
        throw InputError("the samples are empty", preds.name() + ": shape " + text_of(shape),
                         "Only the number of samples may be 0.");
}

void print(const std::string& text) {
    if (std::fwrite(text.data(), 1, text.size(), stdout) < text.size() || std::fflush(stdout) != 0)
        throw InputError("cannot write the losses", std::string("standard output: ") + std::strerror(errno),
                         "Is the disk full?");
}

std::string table(int64_t first, const std::vector<std::vector<double>>& columns) {
    std::string lines;
    char number[40];
    for (std::size_t i = 0; i < columns.front().size(); ++i) {
        lines += std::to_string(first + static_cast<int64_t>(i));
        for (const auto& column : columns) {
            // nan's sign means nothing; %.9g brings a float32 back to the last bit
            std::snprintf(number, sizeof number, "\t%.9g", std::isnan(column[i]) ? std::fabs(column[i]) : column[i]);
            lines += number;
        }
        lines += '\n';
    }
    return lines;
}

void score_files(const Request& request, const Program& program) {
    NpyFile preds(request.files[0]);
    NpyFile labels(request.files[1]);
    check_arrays(preds, labels);
    const std::vector<std::string> files = model_files(request, program);
    std::vector<std::unique_ptr<Model>> models;
    std::vector<Metadata> metadata;
    for (const std::string& file : files) {
        models.push_back(program.load(file, request.option_value));
        metadata.push_back(models.back()->metadata());
        print_metadata(file, metadata.back(), request.metadata);
    }
    std::string lines = "# index";
    for (const std::string& column : headings(files, metadata)) lines += "\t" + column;
    lines += "\n";
    const int64_t samples = preds.shape()[0];
    const int64_t step = std::max<int64_t>(1, values_per_block / product_of(preds.shape(), 1));
    for (int64_t start = 0; start < samples; start += step) {
        const int64_t stop = std::min(start + step, samples);
        const Array block = preds.read(start, stop);
        const Array their_labels = labels.read(start, stop);
        std::vector<std::vector<double>> columns;
        for (const auto& model : models) columns.push_back(model->losses(block, their_labels));
        print(lines + table(start, columns));
        lines.clear();
    }
    print(lines);  // the head alone, where there are no samples
}

}  // namespace

std::string described(const Array& preds, const Array& labels) {
    std::string text;
    for (const Array* array : {&preds, &labels})
        text += (text.empty() ? "" : ", ") + array->name + ": " + name_of(array->dtype) + " " + text_of(array->shape);
    return text;
}

InputError several_columns(const std::string& model, const std::string& got) {
    return InputError("the model gives several columns", model + ": gave " + got + ", expected one loss [N]",
                      "Is it a scorecard? Export the loss itself, as in evaltool export focal.");
}

void check_losses(const std::string& model, const std::string& dtype, bool is_float, const Shape& shape,
                  int64_t samples) {
    if (is_float && shape == Shape{samples}) return;
    throw InputError("the model does not give one loss per sample",
                     model + ": gave " + dtype + " " + text_of(shape) + ", expected floats " + text_of({samples}),
                     "Export the loss with reduction=\"none\".");
}

int score(int argc, char** argv, const Program& program) {
    try {
        const Request request = parsed(argc, argv, program);
        if (request.help)
            print(help(program));
        else
            score_files(request, program);
        return 0;
    } catch (const UsageError& error) {
        std::fprintf(stderr, "%serror: %s\n", usage(program).c_str(), error.what());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
    }
    return unusable;
}
