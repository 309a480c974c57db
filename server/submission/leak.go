package submission

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"postern/server/directory"
	"postern/server/message"
	"postern/storage"
	"postern/storage/audit"
)

// A token in a message is one that got out: an agent was talked into saying its
// own, or copied a log. Tokens have a prefix and a checksum so that they are
// found without a false alarm; what is found is looked up, and a credential's that
// this server minted stops the message, whether it still opens anything or not. So
// does that of a person's session, which ends at once: no agent has a use for it,
// but to do what is reserved for people. // AC-6
//
// The message is looked through as it is on the wire and, where something in it
// is encoded, as its reader will see it: transfer encodings, character sets,
// encoded words, file names. Line ends and what mail programs put around them do
// not hide a token. What hides one on purpose (inside an archive, or spelled
// backwards) is not found here.

// maxTokens is how many different tokens are looked up. A message with more is
// not a message.
const maxTokens = 4096

// errTokens ends a search that found more.
var errTokens = errors.New("submission: too many tokens in a message")

// leak is what a message gives away.
type leak struct {
	credentials []storage.Credential
	sessions    []storage.PersonSession
	many        bool // there were more tokens than are looked up
}

func (l *leak) found() bool { return l.many || len(l.credentials) > 0 || len(l.sessions) > 0 }

// leaks finds the credentials and the people's sessions whose tokens stand in a
// message.
func (o *Outbound) leaks(ctx context.Context, m *submission) (leak, error) {
	tokens := map[string]bool{}
	err := searchMessage(m.s.Stage, m.whole, m.header, func(token string) error {
		if ours(token) {
			tokens[token] = true
		}
		if len(tokens) > maxTokens {
			return errTokens
		}
		return nil
	})
	if errors.Is(err, errTokens) {
		return leak{many: true}, nil
	}
	if err != nil {
		return leak{}, fmt.Errorf("%w: %w", storage.ErrUnavailable, err)
	}
	var l leak
	for token := range tokens {
		err := o.identify(ctx, token, &l)
		if err != nil && !errors.Is(err, storage.ErrNotFound) { // of another server, or of nobody
			return leak{}, err
		}
	}
	return l, nil
}

// ours reports whether a text has the form and the checksum of a token.
func ours(token string) bool {
	_, err := directory.ParseToken(token)
	return err == nil || directory.IsSessionToken(token)
}

// identify adds what a token opens, or opened.
func (o *Outbound) identify(ctx context.Context, token string, l *leak) error {
	if directory.IsSessionToken(token) {
		ps, err := o.store.PersonSessionByHash(ctx, o.store.HashSession(token))
		if err == nil {
			l.sessions = append(l.sessions, ps)
		}
		return err
	}
	c, err := o.store.CredentialByHash(ctx, o.store.HashToken(token))
	if err == nil {
		l.credentials = append(l.credentials, c)
	}
	return err
}

// recordLeak ends the people's sessions whose tokens stood in a message, and says
// of each of these and of each credential in the log of its organization, and to
// its people, that its token did. Who sent it is in the log of the sender's, with
// the refusal. // AC-18, AC-19
func (o *Outbound) recordLeak(ctx context.Context, m *submission, l leak) error {
	for i := range l.sessions {
		if err := o.endLeaked(ctx, &l.sessions[i]); err != nil {
			return err
		}
	}
	if len(l.credentials) == 0 && len(l.sessions) == 0 {
		return nil
	}
	return o.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
		for _, c := range l.credentials {
			if err := o.credentialLeaked(tx, m, &c); err != nil {
				return err
			}
		}
		for _, ps := range l.sessions {
			if err := sessionLeaked(tx, m, &ps); err != nil {
				return err
			}
		}
		return nil
	})
}

// credentialLeaked records that the token of a credential stood in a message.
func (o *Outbound) credentialLeaked(tx *storage.Tx, m *submission, c *storage.Credential) error {
	p := m.s.Principal
	e := audit.Event{Verb: audit.CredentialLeaked, Outcome: audit.Refused, Org: c.Org, Agent: c.Agent, Credential: c.ID,
		Fields: audit.Fields{audit.Word(audit.KeyState, state(c, o.o.Now()))}}
	a := storage.Alert{Head: storage.Head{Org: c.Org}, Kind: storage.AlertTokenLeaked, Agent: c.Agent, Credential: c.ID,
		Detail: "a message that was stopped contained the token " + c.PublicID + "…: revoke it and issue another"}
	if c.Org == p.Credential.Org {
		e.Inbox = p.Inbox.ID()
		e.Fields = append(e.Fields, audit.ID(audit.KeyCredential, p.Credential.ID))
		a.Inbox = p.Inbox.ID()
	}
	tx.Record(e)
	return tx.RaiseAlert(a)
}

// endLeaked ends a person's session: whoever wrote its token into a message could
// act as that person.
func (o *Outbound) endLeaked(ctx context.Context, ps *storage.PersonSession) error {
	who, err := o.store.Person(ctx, ps.Org, ps.Person)
	if err == nil {
		err = o.dir.EndPersonSession(ctx, storage.System, who, ps.ID, "leaked")
	}
	if errors.Is(err, storage.ErrNotFound) {
		return nil // it ended a moment ago
	}
	return err
}

// sessionLeaked tells the people of a session's organization; which agent had its
// token, if that is one of theirs.
func sessionLeaked(tx *storage.Tx, m *submission, ps *storage.PersonSession) error {
	a := storage.Alert{Head: storage.Head{Org: ps.Org}, Kind: storage.AlertTokenLeaked, Object: ps.ID,
		Detail: "a message that was stopped contained the token of a person's session, which was ended: see what was done in it, and how the agent came by it"}
	if p := m.s.Principal; ps.Org == p.Credential.Org {
		a.Agent, a.Credential, a.Inbox = p.Agent.ID, p.Credential.ID, p.Inbox.ID()
	}
	return tx.RaiseAlert(a)
}

// state is whether a token still opens something.
func state(c *storage.Credential, now time.Time) string {
	switch {
	case !c.Revoked.IsZero():
		return "revoked"
	case !now.Before(c.Expires):
		return "expired"
	}
	return "active"
}

// searchMessage calls found for what looks like a token anywhere in a message:
// in its bytes, and in what they decode to.
func searchMessage(r io.ReaderAt, s *message.Structure, header []byte, found func(string) error) error {
	if err := searchTokens(io.NewSectionReader(r, 0, s.Size), found); err != nil {
		return err
	}
	if err := searchFields(header, found); err != nil {
		return err
	}
	return searchPart(r, &s.Root, found)
}

// searchPart looks through what is encoded in a part, and in the parts inside.
func searchPart(r io.ReaderAt, p *message.Part, found func(string) error) error {
	if err := searchText(p.Filename(), found); err != nil {
		return err
	}
	for i := range p.Children {
		if err := searchInner(r, &p.Children[i], found); err != nil {
			return err
		}
	}
	if p.Message != nil {
		return searchInner(r, &p.Message.Root, found)
	}
	if !encoded(p) {
		return nil
	}
	if p.Type == "text" {
		return searchTokens(message.TextReader(r, p), found)
	}
	return searchTokens(message.PartReader(r, p), found)
}

// searchInner looks through a part that has a header of its own.
func searchInner(r io.ReaderAt, p *message.Part, found func(string) error) error {
	header := make([]byte, min(max(p.Header.Len(), 0), message.MaxHeaderBytes))
	if _, err := r.ReadAt(header, p.Header.Start); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := searchFields(header, found); err != nil {
		return err
	}
	return searchPart(r, p, found)
}

// encoded reports whether a part's bytes differ from what its reader sees. Of
// character sets those that are not ASCII in their lower half matter here.
func encoded(p *message.Part) bool {
	if p.IsMultipart() {
		return false
	}
	if p.Encoding == "base64" || p.Encoding == "quoted-printable" {
		return true
	}
	charset := strings.ToLower(p.Param("charset"))
	return p.Type == "text" && (strings.HasPrefix(charset, "utf-16") || strings.HasPrefix(charset, "utf-32") || strings.HasPrefix(charset, "utf-7"))
}

// searchFields looks through encoded words.
func searchFields(header []byte, found func(string) error) error {
	if !bytes.Contains(header, []byte("=?")) {
		return nil
	}
	for f := range message.Fields(header) {
		if value := f.Value(); strings.Contains(value, "=?") {
			if err := searchText(message.DecodeWords(value), found); err != nil {
				return err
			}
		}
	}
	return nil
}

func searchText(text string, found func(string) error) error {
	return searchBytes([]byte(text), 0, len(text), found)
}

// The form of a token (package directory), seen from its first underscore.
const (
	tokenHead   = "pst"
	tokenLength = 38   // characters behind the prefix
	tokenSpan   = 1024 // bytes that a token takes at most, with the line ends in it
)

var tokenPrefixes = []string{tokenHead + "_live_", tokenHead + "_test_", tokenHead + "_session_"}

// searchWindow is how much is looked at together.
const searchWindow = 64 << 10

var searchWindows = sync.Pool{New: func() any { return new([searchWindow]byte) }}

// searchTokens calls found for every text of the form of a token, whatever line
// ends stand in it.
func searchTokens(r io.Reader, found func(string) error) error {
	window := searchWindows.Get().(*[searchWindow]byte)
	defer searchWindows.Put(window)
	have, seen := 0, 0 // bytes in the window, and how many of them were looked at
	for eof := false; !eof; {
		n, err := io.ReadFull(r, window[have:])
		if eof = errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); err != nil && !eof {
			return err
		}
		b := window[:have+n]
		end := len(b)
		if !eof {
			end -= tokenSpan // what begins behind may not be all here
		}
		if err := searchBytes(b, seen, end, found); err != nil {
			return err
		}
		from := max(end-tokenSpan, 0) // a head may stand as far before its underscore
		have, seen = copy(window[:], b[from:]), end-from
	}
	return nil
}

// searchBytes looks for tokens whose first underscore is in b[from:to]. An
// underscore is rare in text and is found at the speed of memory: where there is
// none, nothing else is looked at.
func searchBytes(b []byte, from, to int, found func(string) error) error {
	for from < to {
		i := bytes.IndexByte(b[from:to], '_')
		if i < 0 {
			return nil
		}
		if token, ok := tokenAt(b, from+i); ok {
			if err := found(token); err != nil {
				return err
			}
		}
		from += i + 1
	}
	return nil
}

// tokenAt reads the token whose first underscore is b[at].
func tokenAt(b []byte, at int) (string, bool) {
	for i, j := len(tokenHead)-1, at-1; i >= 0; i, j = i-1, j-1 {
		for j >= 0 && between(b[j]) && at-j < tokenSpan {
			j--
		}
		if j < 0 || b[j] != tokenHead[i] {
			return "", false
		}
	}
	token := append(make([]byte, 0, 64), tokenHead...)
	length := 0 // of all of it, once its prefix is known
	for _, c := range b[at:min(len(b), at+tokenSpan)] {
		if between(c) {
			continue
		}
		token = append(token, c)
		switch {
		case length == 0:
			known, begins := prefixed(token)
			if !begins {
				return "", false
			}
			length = known
		case !alphanumeric(c):
			return "", false
		case len(token) == length:
			return string(token), true
		}
	}
	return "", false
}

// prefixed reports whether a token may begin so, and how long it is when that is
// the whole prefix.
func prefixed(token []byte) (length int, begins bool) {
	for _, p := range tokenPrefixes {
		if string(token) == p {
			return len(p) + tokenLength, true
		}
		begins = begins || strings.HasPrefix(p, string(token))
	}
	return 0, begins
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// between reports what mail programs put into the middle of a long word: line
// ends, indentation, and marks of a quotation.
func between(c byte) bool {
	return c == '\r' || c == '\n' || c == ' ' || c == '\t' || c == '>'
}
