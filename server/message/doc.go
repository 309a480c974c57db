// Package message reads and writes Internet messages (RFC 5322, MIME) without
// trusting them.
package message
