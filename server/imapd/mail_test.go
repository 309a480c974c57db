package imapd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"postern/server/delivery"
	"postern/server/message"
	"postern/storage"
)

// stock connects go-imap's client, which has its own idea of the protocol.
func (h *home) stock(t testing.TB) *imapclient.Client {
	t.Helper()
	c, err := imapclient.DialTLS(h.addr, &imapclient.Options{TLSConfig: h.client})
	check(t, err)
	t.Cleanup(func() { c.Close() })
	check(t, c.Login(supportAddress, h.tokens["scout"]).Wait())
	return c
}

// hostile are the messages that the parser is tested with, and some that have stopped other servers.
func hostile(t testing.TB) (names []string, texts [][]byte) {
	t.Helper()
	files, err := filepath.Glob("../message/testdata/parse/*.eml")
	check(t, err)
	if len(files) < 20 {
		t.Fatal("no messages", files)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		check(t, err)
		names, texts = append(names, filepath.Base(f)), append(texts, b)
	}
	var deep bytes.Buffer
	for i := range 10_000 {
		fmt.Fprintf(&deep, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	wide := bytes.Repeat([]byte("--b\r\n\r\nx\r\n"), 5000)
	random := make([]byte, 9000)
	for i := range random {
		random[i] = byte(i * i >> 3)
	}
	for name, text := range map[string][]byte{
		"10,000 nested multiparts": deep.Bytes(),
		"5,000 parts":              append([]byte("Content-Type: multipart/mixed; boundary=b\r\n\r\n"), wide...),
		"noise":                    random,
		"nothing but NUL":          make([]byte, 4000),
		"odd strings": []byte("Subject: \"\\\x01\x7f\xff\xe2\x82\r\nFrom: \"a\\\"b\" <\"x y\"@z>\r\nMessage-ID: " + strings.Repeat("<", 3000) +
			"\r\nContent-Type: text/plain; name=\"a\x02\"\r\n\r\nx"),
	} {
		names, texts = append(names, name), append(texts, text)
	}
	return names, texts
}

// TestHostileMail: whatever a message is made of, each item of FETCH has an answer that a stock client can read; the
// sections are the bytes of the message; and RFC822.SIZE is the size of BODY[] (RFC 9051, section 2.3.4).
func TestHostileMail(t *testing.T) {
	h := newHome(t, nil)
	names, texts := hostile(t)
	var stored [][]byte
	for i, text := range texts {
		if len(text) == 0 {
			names[i] = "" // the empty message is not to be had from a client or a stranger
			continue
		}
		h.deposit(t, storage.RoleInbox, 0, text)
		stored = append(stored, text)
	}
	c := h.stock(t)
	_, err := c.Select("INBOX", nil).Wait()
	check(t, err)
	for i, text := range stored {
		t.Run(fmt.Sprint(i+1), func(t *testing.T) { fetchAll(t, c, uint32(i+1), text) })
	}
}

// fetchAll holds all that can be asked of a message against its text.
func fetchAll(t *testing.T, c *imapclient.Client, n uint32, text []byte) {
	s := message.Parse(bytes.NewReader(text), int64(len(text)))
	paths := partPaths(&s.Root, nil)
	o := &imap.FetchOptions{Envelope: true, BodyStructure: &imap.FetchItemBodyStructure{Extended: true}, RFC822Size: true, InternalDate: true}
	want := map[*imap.FetchItemBodySection][]byte{}
	add := func(x *imap.FetchItemBodySection, text []byte) {
		x.Peek = true
		want[x] = text
		o.BodySection = append(o.BodySection, x)
	}
	slice := func(sp message.Span) []byte { return text[sp.Start:sp.End] }
	add(&imap.FetchItemBodySection{}, text)
	add(&imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader}, slice(s.Header))
	add(&imap.FetchItemBodySection{Specifier: imap.PartSpecifierText}, slice(s.Root.Body))
	add(&imap.FetchItemBodySection{Partial: &imap.SectionPartial{Offset: 3, Size: 7}}, text[min(3, len(text)):min(10, len(text))])
	for _, path := range paths[:min(len(paths), 20)] {
		part, ok := s.Section(path)
		if !ok {
			t.Fatalf("no part %v", path)
		}
		add(&imap.FetchItemBodySection{Part: path}, slice(part.Body))
		add(&imap.FetchItemBodySection{Part: path, Specifier: imap.PartSpecifierMIME}, slice(part.Header))
		if part.Message != nil {
			add(&imap.FetchItemBodySection{Part: path, Specifier: imap.PartSpecifierHeader}, slice(part.Message.Root.Header))
			add(&imap.FetchItemBodySection{Part: path, Specifier: imap.PartSpecifierText}, slice(part.Message.Root.Body))
		}
		if decodable(part) {
			o.BinarySection = append(o.BinarySection, &imap.FetchItemBinarySection{Part: path, Peek: true})
			o.BinarySectionSize = append(o.BinarySectionSize, &imap.FetchItemBinarySectionSize{Part: path})
		}
	}
	got, err := c.Fetch(imap.SeqSetNum(n), o).Collect()
	if err != nil || len(got) != 1 {
		t.Fatal(err, len(got))
	}
	m := got[0]
	if m.RFC822Size != int64(len(text)) {
		t.Errorf("size %d, want %d", m.RFC822Size, len(text))
	}
	for x, text := range want {
		if got := m.FindBodySection(x); !bytes.Equal(got, text) {
			t.Errorf("section %v.%s: %d bytes, want %d", x.Part, x.Specifier, len(got), len(text))
		}
	}
	for i, x := range o.BinarySection {
		part, _ := s.Section(x.Part)
		text, _ := io.ReadAll(message.PartReader(bytes.NewReader(text), part))
		if got := m.FindBinarySection(x); !bytes.Equal(got, text) {
			t.Errorf("binary %v: %d bytes, want %d", x.Part, len(got), len(text))
		}
		if got := m.BinarySectionSize[i]; int(got.Size) != len(text) {
			t.Errorf("binary size %v: %d, want %d", x.Part, got.Size, len(text))
		}
	}
	leaves := 0
	m.BodyStructure.Walk(func([]int, imap.BodyStructure) bool { leaves++; return true })
	if leaves == 0 {
		t.Error("no structure")
	}
	if want := message.DecodeWords(s.Envelope.Subject); m.Envelope.Subject != want && strings.IndexFunc(want, func(r rune) bool { return r > 126 || r < 32 }) < 0 {
		t.Errorf("subject %q, want %q", m.Envelope.Subject, want)
	}
}

// partPaths lists the section numbers of all parts.
func partPaths(p *message.Part, at []int) (paths [][]int) {
	down := func(kid *message.Part, n int) {
		path := append(append([]int{}, at...), n)
		paths = append(append(paths, path), partPaths(kid, path)...)
	}
	switch {
	case p.IsMultipart():
		for i := range p.Children {
			down(&p.Children[i], i+1)
		}
	case len(at) == 0:
		paths = append(paths, []int{1})
	case p.Message != nil && p.Message.Root.IsMultipart():
		for i := range p.Message.Root.Children {
			kid := &p.Message.Root.Children[i]
			path := append(append([]int{}, at...), i+1)
			paths = append(append(paths, path), partPaths(kid, path)...)
		}
	}
	return paths
}

// TestAppendedMailIsShown is the same through the door: what APPEND took is what FETCH gives, but for hidden fields.
func TestAppendedMailIsShown(t *testing.T) {
	h := newHome(t, nil)
	c := h.stock(t)
	_, err := c.Select("INBOX", nil).Wait()
	check(t, err)
	n := uint32(0)
	names, texts := hostile(t)
	for i, text := range texts {
		if len(text) == 0 || len(text) > 256<<10 {
			continue // empty, or with a header that is refused
		}
		cmd := c.Append("INBOX", int64(len(text)), &imap.AppendOptions{Time: time.Unix(1_700_000_000, 0)})
		cmd.Write(text)
		check(t, cmd.Close())
		data, err := cmd.Wait()
		if err != nil {
			t.Errorf("%s: %v", names[i], err)
			continue
		}
		n++
		if uint32(data.UID) != n {
			t.Errorf("%s: UID %d, want %d", names[i], data.UID, n)
		}
		fetchAll(t, c, n, shown(t, text))
	}
	if n < 20 {
		t.Error(n)
	}
}

// shown is a message as a mailbox shows it.
func shown(t *testing.T, text []byte) []byte {
	t.Helper()
	r := bytes.NewReader(text)
	s := message.Parse(r, int64(len(text)))
	overlay := message.NewOverlay(text[:s.Header.End], nil, func(f message.Field) bool { return delivery.Hides(f, "mx.example.com") })
	view := overlay.View(r, int64(len(text)))
	b, err := io.ReadAll(io.NewSectionReader(view, 0, view.Size()))
	check(t, err)
	return b
}
