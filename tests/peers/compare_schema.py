"""Compares our schema of the TWS API's messages with that of the official Python client.

    python compare_schema.py DESCRIPTORS

DESCRIPTORS is a file with our google.protobuf.FileDescriptorSet; of it, package tws.v1 is looked
at. Every message of the client must be ours, and the other way round, with the same field numbers,
types, labels and presence, and with the same names, ours in snake case. Prints one JSON object with the
counts, and exits 0 only if nothing differs; `differences` lists what does.
"""

import importlib
import json
import pkgutil
import re
import sys

import ibapi.protobuf
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FieldDescriptor

OURS = "tws.v1"


def main():
    theirs = their_messages()
    ours = our_messages(sys.argv[1])
    differences = []
    for name in sorted(theirs.keys() | ours.keys()):
        if name not in ours:
            differences.append(f"{name}: not in our schema")
        elif name not in theirs:
            differences.append(f"{name}: not in the official client")
        else:
            differences += compare(name, theirs[name], ours[name])
    fields = sum(len(message) for message in ours.values())
    report = {"messages": len(ours), "fields": fields, "differences": differences}
    print(json.dumps(report))
    return 1 if differences else 0


def their_messages():
    """All messages of the client's generated modules."""
    messages = {}
    for module in pkgutil.iter_modules(ibapi.protobuf.__path__):
        if module.name.endswith("_pb2"):
            loaded = importlib.import_module(f"ibapi.protobuf.{module.name}")
            for name, message in loaded.DESCRIPTOR.message_types_by_name.items():
                messages[name] = fields_of(message)
    return messages


def our_messages(path):
    """All messages of our package, from the descriptors."""
    files = descriptor_pb2.FileDescriptorSet()
    with open(path, "rb") as file:
        files.ParseFromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    messages = {}
    for file in files.file:
        if file.package == OURS:
            found = pool.FindFileByName(file.name)
            for name, message in found.message_types_by_name.items():
                messages[name] = fields_of(message)
                for field in message.fields:
                    if not re.fullmatch("[a-z][a-z0-9]*(_[a-z0-9]+)*", field.name):
                        sys.exit(f"{name}.{field.name} is not snake case")
    return messages


def fields_of(message):
    """Number of each field to what must agree."""
    return {field.number: describe(field) for field in message.fields}


def describe(field):
    is_map = bool(field.message_type and field.message_type.GetOptions().map_entry)
    kind = {
        "name": letters(field.name),
        "type": field.type,
        "repeated": field.is_repeated,
        "presence": field.has_presence,
        "map": is_map,
    }
    if is_map:
        entry = field.message_type.fields_by_name
        kind["entry"] = [entry["key"].type, entry["value"].type]
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        kind["message"] = field.message_type.name
    return kind


def letters(name):
    """reqId and req_id are one name; where words of PnL or IBKRATS end is a matter of taste."""
    return name.replace("_", "").lower()


def compare(name, theirs, ours):
    for number in sorted(theirs.keys() | ours.keys()):
        if theirs.get(number) != ours.get(number):
            yield f"{name}, field {number}: theirs {theirs.get(number)}, ours {ours.get(number)}"


if __name__ == "__main__":
    sys.exit(main())
