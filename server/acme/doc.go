// Package acme keeps the server's certificates: it gets them from an authority by
// ACME (RFC 8555), renews them in time, and hands the right one to every TLS
// handshake.
//
// A [Keeper] is told the server's name and finds by itself which further names
// lead here: those under which other servers look for a domain's MTA-STS policy,
// and mail programs for its settings. Each name has a certificate of its own, so
// that one which is misconfigured costs no other. An authority is convinced in one
// of three ways: by what stands under a path at port 80 (HTTP-01), by a handshake
// at port 443 (TLS-ALPN-01, RFC 8737), or by a TXT record (DNS-01), for names in
// zones that this server serves itself. The doors ask the keeper; it listens
// nowhere.
//
// What is kept between starts (the account, certificates, their keys) are sealed
// records of the store, never files: [files] is what certmagic, which drives an
// issuance, sees of them. The three files of a certificate come as one
// transaction with the event that accounts for them. When to renew is decided here
// and not by certmagic, since it goes by a clock that tests advance, and a failure
// must be known after a restart: a server that is started again and again must not
// ask an authority again and again.
//
// A handshake is never without an answer. While a name has no certificate yet, a
// self-signed one stands in; health says so. Certificates of the operator's own
// files come first, for the names that they cover.
package acme
