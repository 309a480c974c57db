"""Flags messages of INBOX with imaplib, and answers the flags of all by UID."""
import imaplib
import json
import ssl
import sys

job = json.load(sys.stdin)
imap = imaplib.IMAP4_SSL("localhost", int(job["port"]), ssl_context=ssl.create_default_context(cafile=job["ca"]), timeout=20)
imap.login(job["user"], job["token"])
imap.select("INBOX")
for uid in job["flag"] or []:
    kind, answer = imap.uid("STORE", str(uid), "+FLAGS", r"(\Answered)")
    assert kind == "OK", answer
kind, answer = imap.uid("FETCH", "1:*", "(FLAGS)")
assert kind == "OK", answer
found = {}
for line in answer:
    uid = line.split(b"UID ")[1].split()[0].rstrip(b")").decode()
    found[uid] = [flag.decode() for flag in imaplib.ParseFlags(line)]
imap.logout()
json.dump(found, sys.stdout)
