// Package report is the office for what mail servers tell each other once a day:
// how mail in the name of a domain fared (DMARC aggregate reports, RFC 7489,
// section 7.2) and how TLS to a domain went (SMTP TLS reports, RFC 8460).
//
// # What comes in
//
// The address postern-reports@DOMAIN of each of our domains is no mailbox. What
// arrives there goes to [Office.Receive], which takes it when it provably comes from
// its sender, carries one report, and the report is about a domain of ours;
// anything else is refused, so that the reporter's own people see it. Reports are
// written by strangers, and packed: the archive is opened by hand, one file, no
// archive inside, no more than [MaxUnpacked] bytes and so many times its packed size;
// XML is read without entities or directives; depth, counts and texts are bounded.
//
// A report is stored as its reporter says it. [Sources] and [TLSOutcomes] sum reports
// up for people, and [Ladder] says whether they are evidence enough for the next step
// of a domain's policy.
//
// # What goes out
//
// [CountMail] and [CountTLS] count, in the transaction that a message or an attempt
// makes anyway, what a domain asks to be told. When the day (UTC) is over, [Office.Run]
// asks the domain where the report is to go, and puts it into the queue in the
// same transaction that forgets the counts: a report is sent once, or not at all
// where nobody wants it. Where a domain names the address of somebody else, that one
// must say that they agree (RFC 7489, section 7.1); otherwise anybody could have our
// reports sent to anybody. Only mailto is obeyed, and no https.
package report
