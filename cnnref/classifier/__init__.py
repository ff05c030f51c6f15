"""The post's classifier of handwritten digits: data, model, training, reports."""
