"""Drives one inbox through imaplib as an agent would: list, select, search,
fetch, store, move, append, idle, expunge.

Reads a job as JSON. Writes each message of INBOX, as it was at first, to a file
named by its UID. Ends with an error when an answer is not as it must be.
"""
import imaplib
import json
import os
import re
import smtplib
import ssl
import sys

imaplib._MAXLINE = 10_000_000
job = json.load(sys.stdin)


def check(answer):
    kind, data = answer
    assert kind == "OK", answer
    return data


def connect():
    imap = imaplib.IMAP4_SSL("localhost", int(job["port"]), ssl_context=ssl.create_default_context(cafile=job["ca"]), timeout=20)
    check(imap.login(job["user"], job["token"]))
    return imap


def uids(imap, *keys):
    return check(imap.uid("SEARCH", *keys))[0].split()


def refused():
    """A wrong token is answered NO [AUTHENTICATIONFAILED] (RFC 5530)."""
    imap = imaplib.IMAP4_SSL("localhost", int(job["port"]), ssl_context=ssl.create_default_context(cafile=job["ca"]), timeout=20)
    try:
        imap.login(job["user"], "pst_live_" + "0" * 38)
    except imaplib.IMAP4.error as error:
        assert "AUTHENTICATIONFAILED" in str(error), error
    else:
        raise AssertionError("a wrong token logs in")
    imap.shutdown()


def listed(imap):
    names = b"\n".join(check(imap.list())).decode()
    for name in "INBOX", "Sent", "Drafts", "Trash", "Archive":
        assert name in names, names
    assert "IDLE" in imap.capabilities, imap.capabilities  # imaplib asks once, before login
    assert {b"MOVE", b"UIDPLUS", b"IDLE", b"ID"} <= set(check(imap.capability())[0].split())
    assert check(imap.status("INBOX", "(MESSAGES UNSEEN UIDNEXT)"))[0].split()[2] == str(job["messages"]).encode()


def fetched(imap):
    """Every message by UID, in literals of up to some megabytes."""
    assert check(imap.select("INBOX"))[0] == str(job["messages"]).encode()
    found = uids(imap, "ALL")
    for uid in found:
        data = check(imap.uid("FETCH", uid, "(UID FLAGS RFC822.SIZE BODY.PEEK[])"))
        head, body = data[0]
        assert int(re.search(rb"RFC822\.SIZE (\d+)", head)[1]) == len(body), head
        with open(os.path.join(job["dir"], uid.decode()), "wb") as f:
            f.write(body)
    # A part of a part, and what a client's list of messages shows.
    data = check(imap.uid("FETCH", found[-1], "(ENVELOPE BODYSTRUCTURE BODY.PEEK[2]<0.57> BODY.PEEK[HEADER.FIELDS (SUBJECT)])"))
    assert b"five megabytes" in b"".join(b"".join(d) if isinstance(d, tuple) else d for d in data), data
    # RFC822 sets \Seen (RFC 3501, section 6.4.5), PEEK has not.
    assert uids(imap, "SEEN") == []
    check(imap.uid("FETCH", found[2], "(RFC822)"))
    assert uids(imap, "SEEN") == [found[2]]
    return found


def searched(imap, found):
    assert uids(imap, "SUBJECT", '"dots"') == [found[1]]
    assert uids(imap, "BODY", '"see attachment"') == found[-2:]
    assert uids(imap, "LARGER", "1000000") == found[-1:]
    assert uids(imap, "FROM", "ada", "SINCE", "1-Jan-2020", "UNSEEN", "NOT", "SUBJECT", "plain") == found[1:2] + found[3:]
    assert uids(imap, "CHARSET", "UTF-8", "TEXT", '"utf-8"') != []
    imap.literal = "你好".encode()
    assert check(imap.uid("SEARCH", "CHARSET", "UTF-8", "TEXT"))[0].split() == [found[3]]


def changed(imap, found):
    check(imap.uid("STORE", found[2], "+FLAGS", r"(\Flagged \Answered $Work)"))
    assert uids(imap, "KEYWORD", "$Work") == [found[2]]
    check(imap.uid("STORE", found[2], "-FLAGS", r"(\Answered)"))
    check(imap.uid("STORE", found[2], "+FLAGS.SILENT", r"(\Answered)"))
    check(imap.uid("MOVE", found[0], "Archive"))
    check(imap.uid("STORE", found[1], "+FLAGS", r"(\Deleted)"))
    check(imap.uid("EXPUNGE", found[1]))
    assert uids(imap, "ALL") == found[2:]


def appended(imap):
    for path in job["append"]:
        with open(path, "rb") as f:
            data = f.read()
        kind, answer = imap.append("Drafts", r"(\Draft \Seen)", None, data)
        assert kind == "OK" and b"APPENDUID" in answer[0], answer
    check(imap.create("Work"))
    kind, answer = imap.append("Nowhere", None, None, b"Subject: x\r\n\r\nx\r\n")
    assert kind == "NO" and b"TRYCREATE" in answer[0], answer
    check(imap.rename("Work", "Werk"))
    check(imap.delete("Werk"))


def deliver():
    smtp = smtplib.SMTP("localhost", int(job["smtp"]), "client.test", timeout=20)
    text = "From: <ada@elsewhere.test>\r\nTo: <%s>\r\nSubject: wake up\r\nMessage-ID: <wake-up@elsewhere.test>\r\n\r\nHello.\r\n"
    smtp.sendmail("ada@elsewhere.test", [job["user"]], text % job["user"])
    smtp.quit()


def idled(imap, messages):
    """imaplib has idle() since Python 3.14; what it sends is written here, so
    that every version tests it."""
    check(imap.noop())
    tag = imap._new_tag()
    imap.send(tag + b" IDLE\r\n")
    assert imap.readline().startswith(b"+")
    deliver()
    while imap.readline() != b"* %d EXISTS\r\n" % messages:
        pass
    imap.send(b"DONE\r\n")
    line = imap.readline()
    while not line.startswith(tag):
        line = imap.readline()
    assert line.startswith(tag + b" OK"), line
    if hasattr(imap, "idle"):
        with imap.idle(duration=0.1):
            pass


refused()
imap = connect()
listed(imap)
found = fetched(imap)
searched(imap, found)
changed(imap, found)
appended(imap)
idled(imap, len(found) - 1)
check(imap.unselect())
assert imap.logout()[0] == "BYE"
