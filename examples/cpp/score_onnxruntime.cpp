// Prints the loss of every sample by ONNX models: score_onnxruntime --help
//
// The library is loaded when the program runs, so that the one in the onnxruntime wheel serves, which comes without
// headers and without the name that a linker looks for.  Headers of an older version work with a newer library.
#include <dlfcn.h>

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "score.h"

namespace {

struct Element {
    ONNXTensorElementDataType type;
    Dtype dtype;
};

constexpr Element elements[] = {
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16, Dtype::float16}, {ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, Dtype::float32},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE, Dtype::float64},  {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, Dtype::int64},
    {ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32, Dtype::int32},
};

// Opens the library and returns its interface in the version of the headers.
void load_library(const std::string& path) {
    if (path.empty())
        throw InputError("ONNX Runtime's library is not known", "--ort-library and ORT_LIBRARY: neither is given",
                         "Name libonnxruntime.so; README.md tells how to find the one in the Python package.");
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library)
        throw InputError("ONNX Runtime's library cannot be loaded", dlerror(),
                         "Name the file libonnxruntime.so*.");
    const auto base = reinterpret_cast<const OrtApiBase* (*)()>(dlsym(library, "OrtGetApiBase"));
    if (!base)
        throw InputError("this library is not ONNX Runtime", path + ": has no OrtGetApiBase",
                         "Name the file libonnxruntime.so*.");
    const OrtApi* api = base()->GetApi(ORT_API_VERSION);
    if (!api)
        throw InputError("ONNX Runtime's library is older than the headers",
                         path + ": version " + base()->GetVersionString() + ", expected 1." +
                             std::to_string(ORT_API_VERSION) + " or newer",
                         "Install a newer onnxruntime, or build with older headers.");
    Ort::InitApi(api);
}

// One input of the model, or its output: what it must be.
struct Port {
    std::string name;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    Shape shape;               // -1 where any length will do
    std::vector<std::string> axes;  // their names, for messages

    std::string dtype() const {
        for (const Element& element : elements)
            if (element.type == type) return name_of(element.dtype);
        return "another dtype";
    }

    std::string text() const {
        std::string lengths;
        for (std::size_t i = 0; i < shape.size(); ++i)
            lengths += (i ? ", " : "") + (shape[i] < 0 ? axes[i] : std::to_string(shape[i]));
        return dtype() + " [" + lengths + "]";
    }

    bool takes(const Shape& got) const {
        return std::equal(shape.begin(), shape.end(), got.begin(), got.end(),
                          [](int64_t expected, int64_t length) { return expected < 0 || expected == length; });
    }
};

Port port_of(const std::string& name, const Ort::TypeInfo& info) {
    Port port{name, ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED, {}, {}};
    if (info.GetONNXType() != ONNX_TYPE_TENSOR) return port;
    const auto tensor = info.GetTensorTypeAndShapeInfo();
    port.type = tensor.GetElementType();
    port.shape = tensor.GetShape();
    for (const char* axis : tensor.GetSymbolicDimensions()) port.axes.emplace_back(*axis ? axis : "any");
    return port;
}

template <typename T>
Array converted(const Array& array, const std::vector<T>& values, Dtype dtype) {
    Array result{array.name, dtype, array.shape, std::vector<std::byte>(values.size() * sizeof(T))};
    std::memcpy(result.bytes.data(), values.data(), result.bytes.size());
    return result;
}

std::vector<float> widened_halves(const Array& array) {
    std::vector<float> wide(array.bytes.size() / sizeof(uint16_t));
    for (std::size_t i = 0; i < wide.size(); ++i) {
        uint16_t bits;
        std::memcpy(&bits, array.bytes.data() + i * sizeof bits, sizeof bits);
        wide[i] = Ort::Float16_t::FromBits(bits).ToFloat();
    }
    return wide;
}

std::vector<int32_t> narrowed(const Array& array) {
    std::vector<int32_t> narrow;
    for (const int64_t value : as_int64(array)) {
        if (value != static_cast<int32_t>(value))
            throw InputError("a label does not fit the model", array.name + ": " + std::to_string(value) +
                                 ", expected int32", "Export the model for int64 labels.");
        narrow.push_back(static_cast<int32_t>(value));
    }
    return narrow;
}

// Returns the array in the dtype that the model takes, where no digit is lost by it.
Array fitted(const Array& array, const Port& wanted, const std::string& model) {
    for (const Element& element : elements)
        if (element.type == wanted.type && element.dtype == array.dtype) return array;
    if (array.dtype == Dtype::float16 && wanted.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT)
        return converted(array, widened_halves(array), Dtype::float32);
    if (!is_float(array.dtype) && wanted.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64)
        return converted(array, as_int64(array), Dtype::int64);
    if (!is_float(array.dtype) && wanted.type == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32)
        return converted(array, narrowed(array), Dtype::int32);
    throw InputError("the model takes another dtype",
                     array.name + ": " + name_of(array.dtype) + ", expected " + wanted.dtype() + " = " + wanted.name + "\n  " +
                         model,
                     "Save the array with that dtype: np.save(path, array.astype(...)).");
}

class OnnxModel : public Model {
public:
    explicit OnnxModel(const std::string& path) : path_(path) {
        Ort::SessionOptions options;
        options.SetLogSeverityLevel(ORT_LOGGING_LEVEL_FATAL);  // errors are told once, below
        try {
            session_ = Ort::Session(environment(), path.c_str(), options);
        } catch (const Ort::Exception& error) {
            throw InputError("not an ONNX model", path + ": " + error.what(), 
                             path.ends_with(".pt") ? "A TorchScript file? Give it to score_torchscript."
                                                   : "Copy or export it again.");
        }
        for (std::size_t i = 0; i < session_.GetInputCount(); ++i)
            inputs_.push_back(port_of(session_.GetInputNameAllocated(i, allocator_).get(), session_.GetInputTypeInfo(i)));
        std::string names;
        for (const Port& input : inputs_) names += " " + input.name;
        const std::size_t outputs = session_.GetOutputCount();
        bool gives_loss = false;
        for (std::size_t i = 0; i < outputs; ++i)
            gives_loss |= std::string(session_.GetOutputNameAllocated(i, allocator_).get()) == "loss";
        const bool takes_pair = inputs_.size() == 2 && inputs_[0].name == "preds" && inputs_[1].name == "labels";
        if (takes_pair && !gives_loss && outputs > 1) throw several_columns(path, std::to_string(outputs) + " values");
        if (!takes_pair || !gives_loss)
            throw InputError("the model is not a loss",
                             path + ": inputs" + names + (gives_loss ? "" : ", no output loss") +
                                 ", expected inputs preds labels and an output loss",
                             "Name a model that evaltool exported.");
    }

    Metadata metadata() const override {
        Metadata entries;
        const Ort::ModelMetadata data = session_.GetModelMetadata();
        for (const auto& key : data.GetCustomMetadataMapKeysAllocated(allocator_))
            entries.emplace_back(key.get(), data.LookupCustomMetadataMapAllocated(key.get(), allocator_).get());
        std::sort(entries.begin(), entries.end());  // the map has no order
        return entries;
    }

    std::vector<double> losses(const Array& preds, const Array& labels) override {
        if (inputs_[0].takes(preds.shape) && labels.shape == preds.shape && preds.shape.size() > 1 &&
            inputs_[1].shape.size() + 1 == labels.shape.size())
            throw InputError("the model takes class labels",
                             labels.name + ": " + name_of(labels.dtype) + " " + text_of(labels.shape) + ", expected " +
                                 inputs_[1].text() + "\n  " + path_,
                             "The labels look one-hot: save labels.argmax(axis=1).");
        if (!inputs_[0].takes(preds.shape) || !inputs_[1].takes(labels.shape))
            throw InputError("the model takes another shape",
                             path_ + "\n  " + described(preds, labels) + ", expected " + inputs_[0].text() + " and " +
                                 inputs_[1].text(),
                             "A model has a fixed number of axes: is there a file for this one?");
        Array arrays[] = {fitted(preds, inputs_[0], path_), fitted(labels, inputs_[1], path_)};
        Ort::Value values[] = {value(arrays[0], inputs_[0]), value(arrays[1], inputs_[1])};
        constexpr const char* names[] = {"preds", "labels"};
        constexpr const char* output = "loss";
        std::vector<Ort::Value> results;
        try {
            results = session_.Run(Ort::RunOptions{nullptr}, names, values, 2, &output, 1);
        } catch (const Ort::Exception& error) {
            throw InputError("the model does not take these arrays",
                             path_ + ": " + error.what() + "\n  " + described(preds, labels),
                             "Is it the loss for this task?");
        }
        const auto info = results[0].GetTensorTypeAndShapeInfo();
        const bool is_float32 = info.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
        check_losses(path_, Port{"loss", info.GetElementType(), {}, {}}.dtype(), is_float32, info.GetShape(),
                     preds.shape[0]);
        const auto* first = results[0].GetTensorData<float>();
        return {first, first + preds.shape[0]};
    }

private:
    static Ort::Env& environment() {
        static Ort::Env env(ORT_LOGGING_LEVEL_FATAL, "evaltool");
        return env;
    }

    Ort::Value value(Array& array, const Port& input) {
        const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
        return Ort::Value::CreateTensor(memory, array.bytes.data(), array.bytes.size(), array.shape.data(),
                                        array.shape.size(), input.type);
    }

    std::string path_;
    Ort::AllocatorWithDefaultOptions allocator_;
    Ort::Session session_{nullptr};
    std::vector<Port> inputs_;  // preds, labels
};

std::string library_of_environment() {
    const char* path = std::getenv("ORT_LIBRARY");
    return path ? path : "";
}

}  // namespace

int main(int argc, char** argv) {
    bool loaded = false;
    return score(argc, argv,
                 {.name = "score_onnxruntime",
                  .focal = "onnx/focal/1/model.onnx",
                  .option = "--ort-library",
                  .option_help = "  --ort-library FILE  ONNX Runtime's libonnxruntime.so (default $ORT_LIBRARY)\n",
                  .option_value = library_of_environment(),
                  .load = [&](const std::string& path, const std::string& library) -> std::unique_ptr<Model> {
                      if (!loaded) load_library(library);
                      loaded = true;
                      return std::make_unique<OnnxModel>(path);
                  }});
}
