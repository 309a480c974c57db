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
// results (invariant 5). Until there is a scorer the verdict says so: unscored.
//
// # Duplicates
//
// A sender that lost our 250 sends again. The same return path, recipient,
// Message-ID and bytes within three days are answered with success, stored once
// and recorded as a duplicate.
package delivery
