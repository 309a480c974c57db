package imapd

import "github.com/emersion/go-imap/v2"

// Namespace is NAMESPACE (RFC 2342): all mailboxes of a session are in the one personal namespace.
func (s *session) Namespace() (*imap.NamespaceData, error) {
	return &imap.NamespaceData{Personal: []imap.NamespaceDescriptor{{Delim: delimiter}}}, nil
}
