"""The model package: preprocessing, weights, signature, ONNX twin, loading."""
