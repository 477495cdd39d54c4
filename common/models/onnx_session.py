"""Sessions of ONNX Runtime.

It is imported with the first one: that starts a thread, and a process is only forked safely while
it has no other.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnxruntime

_ERRORS = 3


def onnx_session(
    content: bytes, threads: int = 1, profile: str = ""
) -> "onnxruntime.InferenceSession":
    """Opens a model.

    Args:
        content: A valid ONNX file.
        threads: Processors that it computes with.
        profile: How the path begins of a file that is to tell what nodes take; empty for none.
    """
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = threads
    options.log_severity_level = _ERRORS
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
