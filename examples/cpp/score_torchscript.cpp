// Prints the loss of every sample by TorchScript modules: score_torchscript --help
#include <ATen/Parallel.h>
#include <torch/cuda.h>
#include <torch/script.h>

#include <algorithm>
#include <optional>

#include "score.h"

namespace {

// Returns the last line of what PyTorch says, which names the cause; the lines before it are a traceback.
std::string cause(const std::exception& error) {
    const auto* ours = dynamic_cast<const c10::Error*>(&error);
    std::string text = ours ? ours->what_without_backtrace() : error.what();
    text.erase(text.find_last_not_of(" \n") + 1);
    return text.substr(text.find_last_of('\n') + 1);
}

torch::Dtype torch_float(Dtype dtype) {
    return dtype == Dtype::float16 ? torch::kFloat16 : dtype == Dtype::float32 ? torch::kFloat32 : torch::kFloat64;
}

// Returns the array on the device; integers of any width become int64, PyTorch's dtype of class labels.
torch::Tensor tensor(const Array& array, torch::Device device) {
    // cloned, for a model may change its arguments, and the next model gets the same block
    if (is_float(array.dtype)) {
        auto* bytes = const_cast<std::byte*>(array.bytes.data());  // from_blob takes no const
        return torch::from_blob(bytes, array.shape, torch_float(array.dtype)).clone().to(device);
    }
    std::vector<int64_t> wide = as_int64(array);
    return torch::from_blob(wide.data(), array.shape, torch::kInt64).clone().to(device);
}

class TorchScriptModel : public Model {
public:
    TorchScriptModel(const std::string& path, torch::Device device) : path_(path), device_(device) {
        torch::jit::ExtraFilesMap files{{"metadata.json", ""}};
        try {
            module_ = torch::jit::load(path, device, files);
        } catch (const std::exception& error) {
            const std::string reason = cause(error);  // the first sentence; the others guess
            throw InputError("not a TorchScript file", path + ": " + reason.substr(0, reason.find(". ")),
                             path.ends_with(".onnx") ? "An ONNX file? Give it to score_onnxruntime."
                                                     : "Save it with torch.jit.script(module).save(path).");
        }
        check_forward();
        metadata_ = files["metadata.json"];
    }

    Metadata metadata() const override {
        if (metadata_.empty()) return {};
        return fields_of(metadata_);
    }

    std::vector<double> losses(const Array& preds, const Array& labels) override {
        torch::InferenceMode no_gradients;
        torch::jit::IValue result;
        try {
            result = module_.forward({tensor(preds, device_), tensor(labels, device_)});
        } catch (const InputError&) {
            throw;
        } catch (const std::exception& error) {
            throw InputError("the model does not take these arrays",
                             path_ + ": " + cause(error) + "\n  " + described(preds, labels),
                             "Is it the loss for this task?");
        }
        if (result.isTuple())
            throw several_columns(path_, std::to_string(result.toTupleRef().elements().size()) + " values");
        if (!result.isTensor())
            throw InputError("the model does not give one loss per sample",
                             path_ + ": gave a " + result.tagKind() + ", expected a tensor [N]",
                             "Name a model that evaltool exported.");
        const torch::Tensor values = result.toTensor();
        check_losses(path_, torch::toString(values.scalar_type()), values.is_floating_point(), values.sizes().vec(),
                     preds.shape[0]);
        const torch::Tensor wide = values.to(torch::kCPU, torch::kFloat64).contiguous();
        return {wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel()};
    }

private:
    // Throws InputError unless the module can be called with two arguments; a network takes one.
    void check_forward() const {
        std::string names;
        int64_t given = 0, needed = 0;
        if (const auto forward = module_.find_method("forward")) {
            for (const c10::Argument& argument : forward->function().getSchema().arguments()) {
                if (argument.name() == "self") continue;
                names += " " + argument.name();
                ++given;
                needed += !argument.default_value();
            }
        }
        if (given < 2 || needed > 2)
            throw InputError("the model is not a loss",
                             path_ + ": inputs" + (names.empty() ? " none" : names) + ", expected inputs preds labels",
                             "Name a model that evaltool exported.");
    }

    std::string path_;
    torch::Device device_;
    torch::jit::Module module_;
    std::string metadata_;
};

torch::Device checked_device(const std::string& text) {
    std::optional<torch::Device> device;
    try {
        device.emplace(text);
    } catch (const c10::Error&) {
        // the check below says what is expected
    }
    if (!device || !(device->is_cpu() || device->is_cuda()))
        throw InputError("no such device", "--device: got " + text + ", expected cpu, cuda or cuda:1",
                         "Leave it out for the CPU.");
    const int64_t found = torch::cuda::device_count();
    if (device->is_cuda() && std::max<int64_t>(device->index(), 0) >= found)
        throw InputError("the GPU cannot be used",
                         "--device: got " + text + ", but this PyTorch sees " + std::to_string(found) + " CUDA devices",
                         "Build against a PyTorch with CUDA, look at nvidia-smi, or leave --device out.");
    return *device;
}

}  // namespace

int main(int argc, char** argv) {
    // a block fits one core's cache: sharing it costs more than it brings, and far more where the cores are not idle
    at::set_num_threads(1);
    return score(argc, argv,
                 {.name = "score_torchscript",
                  .focal = "torchscript/focal/1/model.pt",
                  .option = "--device",
                  .option_help = "  --device D    cpu (default), cuda or cuda:1\n",
                  .option_value = "cpu",
                  .load = [](const std::string& path, const std::string& device) {
                      return std::make_unique<TorchScriptModel>(path, checked_device(device));
                  }});
}
