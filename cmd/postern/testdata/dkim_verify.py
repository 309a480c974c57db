"""Verifies every DKIM signature of a message with dkimpy, which shares no code
with us. Names are looked up in the records of the job."""
import json
import sys

import dkim

job = json.load(sys.stdin)
with open(job["file"], "rb") as f:
    message = f.read()


def lookup(name, timeout=5):
    record = job["records"].get(name.decode().rstrip("."))
    return record and record.encode()


answer = []
headers, _ = dkim.rfc822_parse(message)
for i in range(sum(name.lower() == b"dkim-signature" for name, _ in headers)):
    d = dkim.DKIM(message)
    try:
        valid = d.verify(idx=i, dnsfunc=lookup)
    except dkim.DKIMException:
        valid = False
    tag = {k.decode(): v.decode() for k, v in d.signature_fields.items()}
    answer.append({"domain": tag.get("d"), "selector": tag.get("s"), "algorithm": tag.get("a"), "valid": valid})
json.dump(answer, sys.stdout)
