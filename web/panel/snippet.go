package panel

import "strings"

// snippet is a program's way to connect, to paste.
type snippet struct{ name, text string }

// snippetsOf are those of an inbox at a host. The token comes from the environment:
// who pastes keeps no secret in their program.
func snippetsOf(host, inbox string) []snippet {
	fill := strings.NewReplacer("HOST", host, "INBOX_ADDRESS", inbox)
	return []snippet{
		{"Python", fill.Replace(pythonSnippet)}, {"Node", fill.Replace(nodeSnippet)}, {"Go", fill.Replace(goSnippet)}, {"n8n", fill.Replace(n8nSnippet)},
	}
}

const pythonSnippet = `import imaplib, os, smtplib

box = imaplib.IMAP4_SSL("HOST", 993)
box.login("INBOX_ADDRESS", os.environ["POSTERN_TOKEN"])
box.select("INBOX")
_, unseen = box.search(None, "UNSEEN")

with smtplib.SMTP_SSL("HOST", 465) as out:
    out.login("INBOX_ADDRESS", os.environ["POSTERN_TOKEN"])
    out.send_message(message)`

const nodeSnippet = `import { ImapFlow } from "imapflow";
import nodemailer from "nodemailer";

const auth = { user: "INBOX_ADDRESS", pass: process.env.POSTERN_TOKEN };
const box = new ImapFlow({ host: "HOST", port: 993, secure: true, auth });
const out = nodemailer.createTransport({ host: "HOST", port: 465, secure: true, auth });`

const goSnippet = `auth := smtp.PlainAuth("", "INBOX_ADDRESS", os.Getenv("POSTERN_TOKEN"), "HOST")
err := smtp.SendMail("HOST:587", auth, from, to, message)`

const n8nSnippet = `Host            HOST
User            INBOX_ADDRESS
Password        the token
Port, SSL/TLS   993 to receive, 465 to send`
