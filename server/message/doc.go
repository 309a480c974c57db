// Package message reads and writes Internet messages (RFC 5322, MIME) without
// trusting them. It imports nothing of Postern.
//
// A message is read once, when it comes in. Parse goes over its bytes front to
// back, with a window of 64 KiB however large the message is, and notes what
// IMAP will be asked for ever after: the envelope, the tree of parts, and where
// each header and body begins and ends. The result is a Structure of a few
// hundred bytes, which is stored beside the message. A FETCH then opens a span
// and streams it; nobody parses mail while a client waits, and no mail, however
// it is made, blocks an inbox.
//
// Parse cannot fail. A stranger's message may have any bytes at all, and it was
// accepted, so it must be stored and shown. What cannot be understood becomes
// plain text or an octet stream, everything that a stranger can multiply has a
// limit, and the set of Defects says where the picture is a choice. Some
// choices matter to more than looks:
//
//   - A line ends in CRLF, LF or CR, since some readers end it there. A header
//     field that any reader would see is a field to us, so that it can be hidden.
//   - A line in a header that is no field is passed over, and does not end the
//     header, for the same reason.
//   - Of fields that may stand once, the first counts; FromFields tells whether
//     there were more.
//   - The delimiter of an outer multipart ends everything inside.
//
// The bytes received are never changed. What a mailbox shows is a View of them
// through an Overlay: our header block in front, and ranges of the original top
// header skipped. The overlay is made at delivery and frozen, and the structure
// is moved along with it (Structure.Overlaid), which costs one number, since
// offsets are stored as distances.
//
// Texts in a Structure are raw, as IMAP wants them. DecodeWords, PartReader and
// TextReader turn headers and bodies into UTF-8 for searching and judging.
//
// Addresses come in two kinds that must not be confused. A Path is the SMTP
// envelope's and decides where mail goes: ParsePath takes the strict grammar of
// RFC 5321 or nothing. An Address is what a header field shows to people:
// ParseAddressList makes the best of anything.
//
// What an agent declares of its mail is in structured values (RFC 9651), which
// ParseMembers reads by the RFC's grammar: as parameters, or as a Dictionary. What
// is not of that grammar is an error there and no guess.
//
// Writing is for what a server adds: trace fields, what a submission lacks, and
// delivery status notifications, which carry codes and our own words, never a
// remote server's text. Whatever a value contains, it stays in its field.
package message
