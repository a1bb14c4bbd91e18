#!/usr/bin/env python3
"""Writes body.json: a second implementation of section 7 of src/envelope/SPEC.md, on Python's `cryptography`.

    python3 tests/vectors/body.py > tests/vectors/body.json

A long body is given by its length: byte i is (i * 7) mod 251. What is done to it is given as steps, so that the file stays small.
"""
import hashlib
import hmac
import json
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

S = bytes(range(32))
SALT = bytes(range(0xC0, 0xD0))
CHUNK = 65536


def expand(prk, info, n):
    out, t, i = b"", b"", 1
    while len(out) < n:
        t = hmac.new(prk, t + info + bytes([i]), hashlib.sha256).digest()
        out, i = out + t, i + 1
    return out[:n]


def derive(label, n, purpose="default", extra=b""):
    name = purpose.encode()
    return expand(S, b"paravent/v1/" + label + struct.pack(">H", len(name)) + name + extra, n)


def tag(field):
    return hashlib.sha256(b"paravent/v1/field" + field.encode()).digest()[:4]


def body(n):
    return bytes((i * 7) % 251 for i in range(n))


def head(field, salt=SALT, version=0xE2):
    return bytes([version]) + derive(b"key-id", 16) + tag(field) + salt


def chunk(data, number, last, field="photo", salt=SALT, header=None):
    key = AESGCM(derive(b"body", 32, extra=salt))
    nonce = number.to_bytes(11, "big") + bytes([last])
    return key.encrypt(nonce, data, (header or head(field, salt)) + field.encode())


def seal(data, field="photo", salt=SALT):
    parts = [data[i : i + CHUNK] for i in range(0, len(data), CHUNK)] or [b""]
    return head(field, salt) + b"".join(
        chunk(part, i, i == len(parts) - 1, field, salt) for i, part in enumerate(parts)
    )


cases = []


def case(name, outcome, why, sealed, field="photo", clear=None, length=None):
    entry = {"name": name, "outcome": outcome, "why": why, "field": field}
    if len(sealed) <= 400:
        entry["sealed"] = sealed.hex()
    else:
        entry["sha256"] = hashlib.sha256(sealed).hexdigest()
    if clear is not None:
        entry["body"] = clear.hex()
    if length is not None:
        entry["length"] = length
    cases.append(entry)


case("short", "opens", "the worked bytes of the specification", seal(b"a photo"), clear=b"a photo")
case("empty", "opens", "an empty body is one chunk of nothing", seal(b""), clear=b"")
for n in [CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK]:
    case(f"long-{n}", "opens", "chunks of 65536 bytes, the last shorter", seal(body(n)), length=n)
good = seal(b"a photo")
case("header-alone", "too-short", "nothing follows the header", good[:37])
case("cut-in-tag", "too-short", "less than a tag follows it", good[:52])
case("version", "version", "a field's envelope is no body", b"\xe1" + good[1:])
case("wrong-field", "wrong-field", "sealed as a video", seal(b"a photo", "video"))
case("other-name-same-tag", "not-authentic", "the full name is associated data",
     head("photo") + chunk(b"a photo", 0, True, "video", header=head("photo")))
case("bit", "not-authentic", "a bit of the ciphertext", good[:40] + bytes([good[40] ^ 1]) + good[41:])
case("salt", "not-authentic", "a bit of the salt", good[:30] + bytes([good[30] ^ 1]) + good[31:])
case("not-last", "not-authentic", "the only chunk says that another follows", head("photo") + chunk(b"a photo", 0, False))
case("number", "not-authentic", "the first chunk says that it is the second", head("photo") + chunk(b"a photo", 1, True))
case("cut-short", "not-authentic", "the end was cut off", good[:-1])
case("added", "not-authentic", "a byte was added", good + b"\0")
print(json.dumps({"specification": "src/envelope/SPEC.md, section 7", "secret": S.hex(), "purpose": "default",
                  "body_key": derive(b"body", 32, extra=SALT).hex(), "salt": SALT.hex(), "cases": cases}, indent=1))
