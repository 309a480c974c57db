"""Tries to authenticate without TLS, as a client that does not look at what the
server offers. Answers the reply codes by command."""
import base64
import json
import smtplib
import sys

job = json.load(sys.stdin)
answer = {}


def session():
    smtp = smtplib.SMTP("localhost", int(job["port"]), "client.test", timeout=20)
    smtp.ehlo()
    assert "auth" not in smtp.esmtp_features, smtp.esmtp_features
    return smtp


def b64(text):
    return base64.b64encode(text.encode()).decode()


smtp = session()
answer["AUTH PLAIN"], _ = smtp.docmd("AUTH", "PLAIN " + b64("\0" + job["user"] + "\0" + job["token"]))
smtp.close()
smtp = session()
answer["AUTH PLAIN without a response"], _ = smtp.docmd("AUTH", "PLAIN")
smtp.close()
smtp = session()
answer["AUTH LOGIN"], _ = smtp.docmd("AUTH", "LOGIN")
smtp.close()
json.dump(answer, sys.stdout)
