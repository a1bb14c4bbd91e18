#!/usr/bin/env python3
"""Writes envelope.json: a second implementation of src/envelope/SPEC.md, on Python's `cryptography`.

It shares no code with the gateway, so that a mistake in either shows. It is run by hand when the specification
gains a case:

    python3 tests/vectors/envelope.py > tests/vectors/envelope.json
"""
import base64
import hashlib
import hmac
import json
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

S = bytes(range(32))
OTHER = bytes(range(1, 33))
NONCE = bytes(range(0xA0, 0xAC))
FIELD = "last_name"
TEXT, BYTES, BOOL, INT, NUMERIC, DATE, TIME, UUID, JSONB = range(1, 10)
KINDS = ["text", "bytes", "bool", "int", "numeric", "date", "timestamptz", "uuid", "jsonb"]


def expand(prk, info, n):
    out, t, i = b"", b"", 1
    while len(out) < n:
        t = hmac.new(prk, t + info + bytes([i]), hashlib.sha256).digest()
        out, i = out + t, i + 1
    return out[:n]


def derive(label, purpose, n, secret=S):
    name = purpose.encode()
    return expand(secret, b"paravent/v1/" + label + struct.pack(">H", len(name)) + name, n)


def key_id(secret=S, purpose="default"):
    return derive(b"key-id", purpose, 16, secret)


def user_key(secret=S, purpose="default"):
    return derive(b"user-key", purpose, 32, secret)


def tag(field):
    return hashlib.sha256(b"paravent/v1/field" + field.encode()).digest()[:4]


def seal(plain, field=FIELD, secret=S, purpose="default", version=0xE1, kid=None, ftag=None, aad_field=None):
    head = bytes([version]) + (kid or key_id(secret, purpose)) + (ftag or tag(field)) + NONCE
    name = field if aad_field is None else aad_field
    return head + AESGCM(user_key(secret, purpose)).encrypt(NONCE, plain, head + name.encode())


def armour(b):
    return "pv1." + base64.urlsafe_b64encode(b).decode().rstrip("=")


def plain(kind, value):
    return bytes([kind]) + value


def padded(kind, value, block=32, length=None, fill=b"\0"):
    head = bytes([kind | 0x80]) + struct.pack(">I", len(value) if length is None else length) + value
    return head + fill * (-len(head) % block)


cases = []


def case(name, outcome, why, *, binary=None, text=None, zeros=None, field=FIELD, purpose="default", secret=S, **more):
    c = {"name": name, "outcome": outcome, "why": why, "field": field, "purpose": purpose, "secret": secret.hex()}
    if binary is not None:
        c["binary"] = binary.hex()
    if text is not None:
        c["text"] = text
    if zeros is not None:
        c["zeros"] = zeros
    c.update(more)
    cases.append(c)


def opens(name, kind, value, why="canonical", block=0, **more):
    p = padded(kind, value, block) if block else plain(kind, value)
    b = seal(p, **{k: v for k, v in more.items() if k in ("field", "purpose")})
    case(name, "opens", why, binary=b, text=armour(b), kind=KINDS[kind - 1], value=value.hex(), block=block, **more)


def content(name, p, why):
    """A plaintext that no writer may write, properly sealed by someone who holds the key."""
    b = seal(p)
    case(name, "malformed", why, binary=b, text=armour(b) if len(b) < 1000 else None)


i4, i8 = (lambda n: struct.pack(">i", n)), (lambda n: struct.pack(">q", n))
LEFEVRE = "Lefèvre".encode()
good = seal(plain(TEXT, LEFEVRE))

# What opens.
opens("text", TEXT, LEFEVRE, "the worked bytes of the specification")
opens("text, padded", TEXT, LEFEVRE, "the worked bytes of the specification", block=32)
opens("text, empty", TEXT, b"", "an empty text is a value, not an absence")
opens("text, emoji", TEXT, "Zoë 🦊".encode())
opens("text, padded to exactly one block", TEXT, b"x" * 27, "no zeros needed", block=32)
opens("bytes, padded, ending in zeros", BYTES, b"ab\0\0", "the length says where the value ends", block=16)
opens("bool", BOOL, b"\x01")
opens("int", INT, i8(-42))
opens("numeric", NUMERIC, b"-12.50", "the scale is kept")
opens("numeric NaN", NUMERIC, b"NaN")
opens("date", DATE, i4(-11234))
opens("date, infinity", DATE, i4(2**31 - 1))
opens("timestamptz", TIME, i8(820_000_000_000_000))
opens("timestamptz, -infinity", TIME, i8(-(2**63)))
opens("uuid", UUID, bytes(range(16)))
opens("jsonb", JSONB, '{"a": [1, 2.50, "é"]}'.encode())
opens("another field", TEXT, b"Ada", field="first_name")
opens("another purpose", TEXT, b"Ada", "purposes have keys of their own", purpose="marketing")

# Layout.
case("no bytes", "too-short", "an empty value is not an envelope", binary=b"")
case("the version alone", "too-short", "reading beyond the end", binary=good[:1])
case("the header alone", "too-short", "reading beyond the end", binary=good[:33])
case("header and tag, no ciphertext", "too-short", "a plaintext has at least its type byte", binary=seal(b""))
case("one byte below the shortest", "too-short", "reading beyond the end", binary=good[:49])
case("one byte above the longest", "too-long", "exhausting memory", zeros=2**29 + 50)
for v in (0x00, 0x01, 0x61, 0xE0, 0xE2, 0xFF):
    case(f"version {v:02x}", "version", "confusion with another format", binary=seal(plain(TEXT, LEFEVRE), version=v))
case("a clear value of the right length", "version", "a clear value planted in a sealed column", binary=b"x" * 58)
case("of another subject", "wrong-key", "an envelope copied from another subject", binary=seal(plain(TEXT, b"Ada"), secret=OTHER))
case("of another purpose", "wrong-key", "an envelope copied from another purpose", binary=seal(plain(TEXT, b"Ada"), purpose="marketing"))
case("first byte of the key id changed", "wrong-key", "a changed key id", binary=good[:1] + bytes([good[1] ^ 1]) + good[2:])
case("last byte of the key id changed", "wrong-key", "a changed key id", binary=good[:16] + bytes([good[16] ^ 0x80]) + good[17:])
case("key id of the key at hand, sealed by another key", "not-authentic", "a planted envelope under a known key id",
     binary=seal(plain(TEXT, b"Ada"), secret=OTHER, kid=key_id()))
case("copied to another field", "wrong-field", "an envelope copied to another column",
     binary=seal(plain(TEXT, b"Ada"), field="birth_date"))
case("first byte of the field tag changed", "wrong-field", "a changed field tag", binary=good[:17] + bytes([good[17] ^ 1]) + good[18:])
case("last byte of the field tag changed", "wrong-field", "a changed field tag", binary=good[:20] + bytes([good[20] ^ 1]) + good[21:])
case("another field whose tag was put in place", "not-authentic", "the tag is associated data",
     binary=good[:17] + tag("first_name") + good[21:], field="first_name")
case("another field whose tag collides", "not-authentic", "the full name is associated data",
     binary=seal(plain(TEXT, b"Ada"), aad_field="first_name"))
case("a field name with the same beginning", "not-authentic", "the full name is associated data",
     binary=seal(plain(TEXT, b"Ada"), aad_field="last_nam"))
case("no associated field name", "not-authentic", "the full name is associated data", binary=seal(plain(TEXT, b"Ada"), aad_field=""))
for at, what in ((21, "nonce, first byte"), (32, "nonce, last byte"), (33, "ciphertext, type byte"), (41, "ciphertext, last byte"),
                 (42, "tag, first byte"), (57, "tag, last byte")):
    case(f"changed: {what}", "not-authentic", "a changed bit", binary=good[:at] + bytes([good[at] ^ 1]) + good[at + 1:])
case("last byte cut off", "not-authentic", "a truncated value", binary=good[:-1])
case("one byte added", "not-authentic", "an extended value", binary=good + b"\0")
case("tag cut to 12 bytes", "not-authentic", "a shortened tag is easier to forge", binary=seal(plain(TEXT, b"x" * 20))[:-4])
case("two ciphertext bytes swapped", "not-authentic", "reordered content", binary=good[:34] + good[35:36] + good[34:35] + good[36:])
case("two envelopes one after the other", "not-authentic", "smuggled content", binary=good + good)
case("header twice", "not-authentic", "smuggled content", binary=good[:33] + good)

# Content.
for k in (0, 10, 11, 0x7F):
    content(f"kind {k}", plain(k, b"x"), "an unknown kind")
content("kind 0, padded", padded(0, b""), "an unknown kind")
content("padded, nothing else", b"\x81", "reading beyond the end")
content("padded, length cut", b"\x81\0\0\0", "reading beyond the end")
content("padded, length one too many", padded(TEXT, b"abc", 8, length=4), "reading beyond the end")
content("padded, length 2^32 - 1", padded(TEXT, b"abc", 32, length=2**32 - 1), "reading beyond the end, overflowing")
content("padded with ones", padded(TEXT, b"abc", 32, fill=b"\x01"), "a hidden channel; two spellings")
content("padded, last byte not zero", padded(TEXT, b"abc", 32)[:-1] + b"\x80", "a hidden channel; two spellings")
content("padded, length shorter than the value", padded(TEXT, b"abc", 32, length=2), "two spellings")
content("text, not UTF-8", plain(TEXT, b"\xff"), "not a text")
content("text, cut in a character", plain(TEXT, b"Lef\xc3"), "not a text")
content("text, overlong UTF-8", plain(TEXT, b"\xc0\x80"), "two spellings")
content("text, surrogate", plain(TEXT, b"\xed\xa0\x80"), "two spellings")
content("text, padded, not UTF-8", padded(TEXT, b"\xff"), "not a text")
content("bool, empty", plain(BOOL, b""), "neither true nor false")
content("bool 2", plain(BOOL, b"\x02"), "true to one reader, false to another")
content("bool, two bytes", plain(BOOL, b"\0\x01"), "two spellings")
content("bool as a letter", plain(BOOL, b"t"), "two spellings")
content("int, 4 bytes", plain(INT, i4(1)), "two spellings of one number")
content("int, 9 bytes", plain(INT, b"\0" + i8(1)), "two spellings of one number")
content("int, empty", plain(INT, b""), "no number")
for n in ("", "-", ".5", "1.", "+1", "007", "-0", "-0.00", "1e3", " 1", "1 ", "1,5", "nan", "-NaN", "inf", "0x1F", "1_000", "1.2.3", "--1", "١"):
    content(f"numeric {n!r}", plain(NUMERIC, n.encode()), "two spellings of one number, or none")
content("numeric, too large a scale", plain(NUMERIC, b"0." + b"1" * 16384), "beyond what Postgres holds")
content("date, 3 bytes", plain(DATE, b"\0\0\0"), "no date")
content("date, 8 bytes", plain(DATE, i8(1)), "two spellings")
content("date before the calendar", plain(DATE, i4(-2451546)), "beyond what Postgres holds")
content("date after the calendar", plain(DATE, i4(2145031949)), "beyond what Postgres holds")
content("timestamptz, 4 bytes", plain(TIME, i4(1)), "no time")
content("timestamptz before the calendar", plain(TIME, i8(-211813488000000001)), "beyond what Postgres holds")
content("timestamptz after the calendar", plain(TIME, i8(9223371331200000000)), "beyond what Postgres holds")
content("uuid, 15 bytes", plain(UUID, bytes(15)), "no UUID")
content("uuid as text", plain(UUID, b"2f1c6e5a-9b3d-4c7e-8a1f-0123456789ab"), "two spellings")
for j in ("", "{", "nul", "01", "1 2", " 1", "1\n", "{'a': 1}", "NaN", '"\x01"', "[1,]"):
    content(f"jsonb {j!r}", plain(JSONB, j.encode()), "not JSON, or two spellings")
content("jsonb, not UTF-8", plain(JSONB, b'"\xff"'), "not a text")

# Armour.
t = armour(good)
for name, bad in (
    ("a clear value", "Lefèvre"), ("an empty text", ""), ("the prefix in upper case", "PV1." + t[4:]), ("another prefix", "pv2." + t[4:]),
    ("no prefix", t[4:]), ("no point", "pv1" + t[4:]), ("a space before", " " + t), ("a space after", t + " "), ("a line end after", t + "\n"),
    ("a line end inside", t[:40] + "\n" + t[40:]), ("padding", t + "="), ("padding of a whole group", t + "=="), ("a plus", t[:20] + "+" + t[21:]),
    ("a slash", t[:20] + "/" + t[21:]), ("a percent escape", t[:20] + "%2D" + t[21:]), ("a NUL", t[:20] + "\0" + t[21:]),
    ("a letter beyond ASCII", t[:20] + "é" + t[21:]), ("a length of 1 modulo 4", t + "AAA"), ("the prefix twice", "pv1." + t),
    ("two armours", t + t), ("hex", good.hex()), ("Postgres hex", "\\x" + good.hex()),
):
    case(f"armour: {name}", "armour", "a clear value, or a second spelling", text=bad)
alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
for n in (8, 9, 11, 12):
    spelt = armour(seal(plain(TEXT, b"x" * n)))
    loose = spelt[:-1] + alphabet[alphabet.index(spelt[-1]) | 1]
    assert loose != spelt
    case(f"armour: loose bits after {n} letters", "armour", "a second spelling of one envelope", text=loose)
case("armour: the prefix alone", "too-short", "reading beyond the end", text="pv1.")
case("armour: 49 bytes", "too-short", "reading beyond the end", text=armour(good[:49]))
case("armour: another version", "version", "confusion with another format", text=armour(b"\xE2" + good[1:]))
case("armour: last group cut off", "not-authentic", "a truncated value", text=t[:-2])
case("armour: a changed character", "not-authentic", "a changed bit", text=t[:60] + ("A" if t[60] != "A" else "B") + t[61:])
case("armour: in another case", "wrong-key", "a second spelling; a column that folds case", text=t[:8] + t[8:-1].swapcase() + t[-1])

print(json.dumps({
    "specification": "src/envelope/SPEC.md, version 1",
    "derivations": [
        {"secret": s.hex(), "purpose": p, "key_id": key_id(s, p).hex(), "user_key": user_key(s, p).hex()}
        for s in (S, OTHER) for p in ("default", "marketing", "x" * 64)
    ],
    "field_tags": {name: tag(name).hex() for name in ("last_name", "first_name", "birth_date", "prénom")},
    "cases": cases,
}, indent=1, ensure_ascii=True))
