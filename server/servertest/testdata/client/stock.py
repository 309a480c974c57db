"""A stock client: imaplib and smtplib as they come, and no field that is ours.

Reads a job in JSON on standard input: where to go, who to be, and what to do in
order. Writes the answers as a JSON list.
"""
import base64, imaplib, json, smtplib, ssl, sys

job = json.load(sys.stdin)
tls = ssl.create_default_context(cadata=job["ca"])
tls.check_hostname = False  # the test's server has no address of its own name


def send(step):
    s = smtplib.SMTP_SSL(*job["smtp"], context=tls)
    s.login(job["user"], job["password"])
    s.ehlo_or_helo_if_needed()
    answers = [s.mail(job["user"])] + [s.rcpt(to) for to in step["to"]]
    code, text = s.data(step["text"].encode())
    s.quit()
    assert all(c == 250 for c, _ in answers), answers
    return {"code": code, "text": text.decode()}


def read(step):
    i = imaplib.IMAP4_SSL(*job["imap"], ssl_context=tls)
    i.login(job["user"], job["password"])
    ok, count = i.select(step.get("mailbox", "INBOX"))
    assert ok == "OK", count
    ok, found = i.search(None, "SUBJECT", '"%s"' % step["subject"])
    assert ok == "OK", found
    messages = []
    for number in found[0].split():
        ok, data = i.fetch(number, step.get("item", "(FLAGS RFC822)"))
        assert ok == "OK", data
        for part in data:
            if isinstance(part, tuple):
                messages.append({"head": part[0].decode(), "raw": base64.b64encode(part[1]).decode()})
    i.logout()
    return {"messages": messages}


print(json.dumps([{"send": send, "read": read}[step["op"]](step) for step in job["steps"]]))
