"""Sends files as messages with smtplib.

Reads a job as JSON; answers how many messages were sent and, when one was
refused, the reply code.
"""
import json
import smtplib
import ssl
import sys

job = json.load(sys.stdin)
context = ssl.create_default_context(cafile=job["ca"])
where = {"host": "localhost", "port": int(job["port"]), "local_hostname": "client.test", "timeout": 20}
sent, code = 0, 0
try:
    if job["tls"] == "implicit":
        smtp = smtplib.SMTP_SSL(context=context, **where)
    else:
        smtp = smtplib.SMTP(**where)
    if job["tls"] == "starttls":
        smtp.starttls(context=context)
    smtp.ehlo_or_helo_if_needed()
    if job["auth"]:
        smtp.user, smtp.password = job["user"], job["token"]
        smtp.auth(job["auth"], getattr(smtp, "auth_" + job["auth"].lower()))
    for path in job["files"]:
        with open(path, "rb") as f:
            data = f.read()
        smtp.sendmail(job["from"], [job["to"]], data, mail_options=["BODY=8BITMIME"])
        sent += 1
    smtp.quit()
except smtplib.SMTPResponseException as refused:
    code = refused.smtp_code
json.dump({"sent": sent, "code": code}, sys.stdout)
