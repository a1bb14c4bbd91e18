"""What the stories on Python drivers share: the steps, values as Python has them, and how things are shown."""

import datetime
import decimal
import json
import re
import sys
import uuid

TYPES = {
    "int4": int,
    "int8": int,
    "text": str,
    "varchar": str,
    "date": datetime.date.fromisoformat,
    "timestamptz": datetime.datetime.fromisoformat,
    "numeric": decimal.Decimal,
    "bool": lambda text: text == "true",
    "uuid": uuid.UUID,
    "jsonb": json.loads,
    "bytea": bytes.fromhex,
}


def steps(path, **types):
    """(name, statement, lists of parameters); `types` are the driver's own makers of values."""
    makers = {**TYPES, **types}

    def value(text):
        kind, text = text.split(":", 1)
        return None if text == "NULL" else makers[kind](text)

    found = []
    for line in open(path, encoding="utf-8").read().split("\n"):
        if line.startswith("# "):
            found.append((line[2:], None, []))
        elif line.startswith("> "):
            found[-1][2].append([value(text) for text in line[2:].split(" | ")])
        elif line and not line.startswith("//"):
            found[-1] = (found[-1][0], line, [])
    return found


def percent(sql):
    """`$1` as `%s`: the steps use each parameter once, in order."""
    return re.sub(r"\$\d+", "%s", sql)


def shown(value):
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return [shown(v) for v in value]
    if isinstance(value, (bytes, memoryview, bytearray)):
        return f"{type(value).__name__}:{bytes(value).hex()}"
    if isinstance(value, dict):
        return "dict:" + json.dumps(value, sort_keys=True, ensure_ascii=False)
    return f"{type(value).__name__}:{value}"


def tell(step, **seen):
    print(json.dumps({"step": step, **seen}, ensure_ascii=False))


def begin(driver, version):
    sys.stdout.reconfigure(encoding="utf-8")
    print(json.dumps({"driver": driver, "version": version}))
