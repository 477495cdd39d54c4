"""Requests as grpcurl lines that one can paste into a shell with the variables of `aimass env`."""

import shlex

from google.protobuf import json_format
from google.protobuf.message import Message

_AUTHORIZATION = '-H "authorization: Bearer $AIMASS_TOKEN"'


def grpcurl_line(request: Message, binary: str = "grpcurl") -> str:
    """Returns the line that sends a request.

    Args:
        request: Of a method of the suite; its request id is left out, so that each paste is a call
            of its own.
        binary: Path of grpcurl.
    """
    sent = type(request)()
    sent.CopyFrom(request)
    if "request_id" in sent.DESCRIPTOR.fields_by_name:
        sent.ClearField("request_id")
    content = json_format.MessageToJson(sent, preserving_proto_field_name=True, indent=None)
    address = f"$AIMASS_{request.DESCRIPTOR.file.package.split('.')[1].upper()}_ADDRESS"
    data = f"-d {shlex.quote(content)}"
    return f"{binary} -plaintext {_AUTHORIZATION} {data} {address} {method_of(request)}"


def method_of(request: Message) -> str:
    """Returns the path of the method that takes a request, `package.Service/Method`.

    Raises:
        LookupError: None in its file does.
    """
    for service in request.DESCRIPTOR.file.services_by_name.values():
        for method in service.methods:
            if method.input_type is request.DESCRIPTOR:
                return f"{service.full_name}/{method.name}"
    raise LookupError(f"No method takes a {request.DESCRIPTOR.full_name}.")
