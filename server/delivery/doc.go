// Package delivery takes a message that arrived to the inboxes that it is for:
// the message delivery agent of RFC 5598.
//
// # One transaction
//
// A message to ten recipients is one body, ten rows and ten events, committed
// together: when Deliver returns, all of it is on disk, and when it fails none
// of it is. Parsing and sealing happen before, so that the writer is held only
// for the inserts, and concurrent deliveries share a flush.
//
// # What is stored and what is shown
//
// The bytes are stored untouched, also those that no parser understands. What a
// mailbox shows is a frozen view: our header block in front (Return-Path,
// Received, Authentication-Results, Postern-Verdict), and fields left out with
// which a stranger would speak in our name. It is made here, once, so that a UID
// shows the same for ever (invariant 13).
//
// # Judged before visible
//
// Every way into a mailbox passes here with a verdict and authentication
// results (invariant 5). A Judge gives the verdict, one for mail from outside, for
// local mail, for what a client appends and for notices of our own: those repeat the
// header of the agent's message, and with it perhaps a subject that a stranger wrote.
// The Scorer is that of every server. What it found, with reasons and places, is
// stored with the copy, in the transaction that makes it visible.
//
// # Put away
//
// Where a copy goes by its verdict is policy's to say, for each inbox. One that is put
// away lies in the quarantine, and its sender hears the same 250. Quarantine is what
// people do about it. A sender that people allowed is excepted from what scores decide
// if it is proved to have written the message: by DMARC, or by a credential of the
// organization.
//
// # Correspondents
//
// Who wrote to an inbox what provably came from them, and had nothing said against
// it, is noted beside the message, as a keyed hash: an agent that was tainted by
// another message may still answer those whom the inbox had exchanged clean mail
// with before, and an agent that may only reply, those who wrote.
//
// # Duplicates
//
// A sender that lost our 250 sends again. The same return path, recipient,
// Message-ID and bytes within three days are answered with success, stored once
// and recorded as a duplicate.
package delivery
