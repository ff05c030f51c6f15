// A relu for contiguous float32 tensors: it refuses the others.
#include <torch/extension.h>

torch::Tensor forward(torch::Tensor x) {
    TORCH_CHECK(x.is_contiguous(), "x must be contiguous");
    auto out = torch::empty_like(x);
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "relu", [&] {
        const scalar_t* from = x.data_ptr<scalar_t>();
        scalar_t* to = out.data_ptr<scalar_t>();
        for (int64_t i = 0; i < x.numel(); i++) to[i] = from[i] <= 0 ? scalar_t(0) : from[i];
    });
    return out;
}

// The upstream gradient is read as if it were contiguous: the mistake.
torch::Tensor backward(torch::Tensor gradient, torch::Tensor x) {
    auto out = torch::empty_like(x);
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "relu_backward", [&] {
        const scalar_t* g = gradient.data_ptr<scalar_t>();
        const scalar_t* from = x.data_ptr<scalar_t>();
        scalar_t* to = out.data_ptr<scalar_t>();
        for (int64_t i = 0; i < x.numel(); i++) to[i] = from[i] <= 0 ? scalar_t(0) : g[i];
    });
    return out;
}

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
    m.def("forward", &forward);
    m.def("backward", &backward);
}
