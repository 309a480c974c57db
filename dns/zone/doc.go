// Package zone knows what a mail domain publishes in the DNS, and judges whether
// it does.
//
// # The plan
//
// [Plan] makes the list of records from [Facts]: what the domain is, where its
// mail goes, which keys sign for it, how far it asks others to go against
// forgeries. It is a pure function: the same facts give the same records, in the
// same order, for people to paste, for a zone file ([WriteFile]), and for a name
// server to serve.
//
// # The judgement
//
// A person who keeps a zone has reasons of their own: other senders, a second
// exchanger, records that mean the same and are written differently. So a record is
// not compared as text: what stands in the DNS is read as a receiver of mail would
// read it, and a [State] says whether that works. Where something else stands in the
// way, the record that it proposes is merged with what is there: there may be one
// SPF record only (RFC 7208, section 4.5), and to replace a person's record by ours
// would silence whoever else sends for them.
//
// # The check
//
// [Checker] asks. A resolver remembers, so that a record which was mended a minute
// ago seems wrong for hours; therefore the authoritative servers are asked
// themselves, all of them, as they are found from the delegation above. What some
// of them say and others do not, or all of them and the resolver not yet, is
// propagating: wait, and do nothing. What could not be asked is unknown, and never
// missing: a name server that is down for an hour is no reason to stop mail.
//
// All answers come from strangers: the number of servers, steps, questions and
// records is bounded, and so is the time.
package zone
