"""Models without source: ONNX graphs become smaller graphs that give the same outputs."""
