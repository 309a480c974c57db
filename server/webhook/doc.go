// Package webhook tells programs elsewhere about alerts, as Standard Webhooks
// 1.0.0 says (standardwebhooks.com): a POST of a small JSON object, with its id,
// the time of the attempt, and a signature over both and the body in the headers
// webhook-id, webhook-timestamp and webhook-signature. The id stays the same over
// all attempts: whoever gets one twice can tell.
//
// What is told are ids, kinds and the names of agents, as in this body; never a
// word, an address or a network of any mail or person. // CO-6
//
//	{"type":"alert.raised","timestamp":"2026-01-05T09:00:00Z","data":{
//	  "id":"0198c0de-…","kind":"spike-sends","first_at":"2026-01-05T09:00:00Z",
//	  "agent":{"id":"0198c0de-…","name":"scout"},"credential":{"id":"0198c0de-…","public_id":"a1b2c3d4"},
//	  "inbox":"0198c0de-…","object":"0198c0de-…"}}
//
// A delivery is a row until a reply of class 2 ends it, and every attempt is an
// event. What fails is tried again after the standard's schedule, over three days;
// a webhook that gives up a delivery and had no success in five days, or says 410
// Gone, is disabled, which raises an alert.
//
// # The guard
//
// Who names a URL names a place that this server will speak to, from inside. So a
// URL is https, its host is looked up by our own resolver, addresses that are not
// public are refused (dns.IsPublic), and the address that was checked is the one
// that is dialled: a second answer of a hostile name server is never asked for.
// Redirects are not followed, no proxy of the environment is used, and of a reply
// the status counts, while of its body a kilobyte is read and forgotten.
package webhook
