"""Verifies every DKIM signature of many messages with dkimpy, which shares no code
with us. Names are looked up in the records of each job, as they were when it came."""
import json
import sys

import dkim

answers = []
for job in json.load(sys.stdin):
    message = job["message"].encode("latin-1")

    def lookup(name, timeout=5):
        record = (job["records"] or {}).get(name.decode().rstrip("."))
        return record and record.encode()

    headers, _ = dkim.rfc822_parse(message)
    valid = []
    for i in range(sum(name.lower() == b"dkim-signature" for name, _ in headers)):
        try:
            valid.append(dkim.DKIM(message).verify(idx=i, dnsfunc=lookup))
        except dkim.DKIMException:
            valid.append(False)
    answers.append(valid)
json.dump(answers, sys.stdout)
