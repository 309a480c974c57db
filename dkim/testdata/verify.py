"""Verify every DKIM signature of the message on standard input with dkimpy.

The arguments are the key records, as NAME=TEXT. Prints one line per signature,
topmost first: the algorithm and "pass" or "fail".
"""
import sys

import dkim

records = dict(a.split("=", 1) for a in sys.argv[1:])


def txt(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    return records.get(name.rstrip("."), "").encode()


message = sys.stdin.buffer.read()
verifier = dkim.DKIM(message, minkey=1024)
count = sum(1 for name, _ in verifier.headers if name.lower() == b"dkim-signature")
for i in range(count):
    verifier = dkim.DKIM(message, minkey=1024)
    try:
        ok = verifier.verify(idx=i, dnsfunc=txt)
    except dkim.DKIMException:
        ok = False
    print(verifier.signature_fields[b"a"].decode(), "pass" if ok else "fail")
