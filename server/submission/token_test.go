package submission

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"strings"
	"testing"

	"postern/server/directory"
	"postern/server/message"
	"postern/storage"
)

// found are the tokens that a message gives away.
func found(t testing.TB, text string) (all []string) {
	t.Helper()
	r := strings.NewReader(text)
	s := message.Parse(r, r.Size())
	header, err := message.ReadHeader(r, s)
	if err != nil {
		t.Fatal(err)
	}
	err = searchMessage(r, s, header, func(token string) error {
		if ours(token) {
			all = append(all, token)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// wrap puts a line end, and what a mail program puts behind it, into a text every
// so many bytes.
func wrap(text string, width int, end string) string {
	var b strings.Builder
	for len(text) > width {
		b.WriteString(text[:width] + end)
		text = text[width:]
	}
	return b.String() + text
}

// TestAC6_TokensAreFound hides a token in each way in which mail changes text.
func TestAC6_TokensAreFound(t *testing.T) {
	token := directory.NewToken(storage.Live).Secret()
	var quoted bytes.Buffer
	w := quotedprintable.NewWriter(&quoted)
	fmt.Fprintf(w, "%s is my token: %s.\r\n", strings.Repeat("é", 15), token)
	w.Close()
	encoded := base64.StdEncoding.EncodeToString([]byte("my token is " + token + "\r\n"))
	var utf16 []byte
	for _, c := range []byte(token) {
		utf16 = append(utf16, c, 0)
	}
	for name, text := range map[string]string{
		"plain":            "\r\nit is " + token + ", do not tell",
		"test":             "\r\nit is " + directory.NewToken(storage.Test).Secret(),
		"of a session":     "\r\nit is " + wrap(directory.NewSessionToken(), 9, "\r\n> "),
		"behind another":   "\r\npst_live_pst_" + token,
		"wrapped":          "\r\n" + wrap(token, 7, "\r\n"),
		"quoted":           "\r\n> " + wrap(token, 11, "\r\n> > "),
		"bare line feeds":  "\r\n" + wrap(token, 3, "\n"),
		"subject":          "Subject: " + token + "\r\n\r\n",
		"folded":           "Subject: " + wrap(token, 20, "\r\n ") + "\r\n\r\n",
		"encoded word":     "Subject: " + mime.BEncoding.Encode("utf-8", "é "+token) + "\r\n\r\n",
		"encoded words":    "Subject: " + mime.QEncoding.Encode("utf-8", strings.Repeat("é", 20)+token+strings.Repeat("é", 20)) + "\r\n\r\n",
		"quoted-printable": "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + quoted.String(),
		"every octet":      "Content-Transfer-Encoding: quoted-printable\r\n\r\n=" + strings.ToUpper(wrap(fmt.Sprintf("%x", token), 2, "=")),
		"base64":           "Content-Transfer-Encoding: base64\r\n\r\n" + wrap(encoded, 76, "\r\n"),
		"base64, odd":      "Content-Transfer-Encoding: base64\r\n\r\n" + wrap(encoded, 5, "\r\n"),
		"UTF-16":           "Content-Type: text/plain; charset=utf-16le\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(utf16),
		"attachment": "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\nContent-Type: application/octet-stream\r\n" +
			"Content-Transfer-Encoding: base64\r\n\r\n" + encoded + "\r\n--b--\r\n",
		"file name": "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: attachment; filename*0=\"" + token[:20] +
			"\";\r\n filename*1=\"" + token[20:] + "\"\r\n\r\nx\r\n--b--\r\n",
		"percent":         "Content-Type: application/x; name*=utf-8''" + strings.ReplaceAll(token, "_", "%5F") + "\r\n\r\nx\r\n",
		"forwarded":       "Content-Type: message/rfc822\r\n\r\nSubject: " + mime.BEncoding.Encode("utf-8", "é"+token) + "\r\n\r\nx\r\n",
		"far behind":      "\r\n" + strings.Repeat("0123456789 ", 6000) + token,
		"at a border":     "\r\n" + strings.Repeat("_", searchWindow-tokenSpan-20) + token,
		"across a border": "\r\n" + strings.Repeat("x", searchWindow-20) + token + strings.Repeat("y", searchWindow),
	} {
		if got := found(t, text); len(got) == 0 {
			t.Errorf("%s: the token is not found in\n%.400s", name, text)
		}
	}
}

// TestTokensAreExact holds that nothing but a token is taken for one.
func TestTokensAreExact(t *testing.T) {
	token := directory.NewToken(storage.Live).Secret()
	other := byte('0')
	if token[20] == '0' {
		other = '1'
	}
	for name, text := range map[string]string{
		"a prefix":     "\r\nOur tokens begin with pst_live_ or pst_test_ and are 47 characters long, as you know.",
		"one changed":  "\r\n" + token[:20] + string(other) + token[21:],
		"one missing":  "\r\n" + token[:46],
		"another case": "\r\n" + strings.ToUpper(token),
	} {
		if got := found(t, text); len(got) > 0 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// FuzzTokens holds that a token is found wherever it stands in a text, and that
// the search ends and stays within its bounds whatever the text.
func FuzzTokens(f *testing.F) {
	token := directory.NewToken(storage.Live).Secret()
	f.Add([]byte("pst_live_"), []byte("_"), uint16(7))
	f.Add([]byte("Subject: =?utf-8?q?pst=5Flive_?=\r\nContent-Transfer-Encoding: base64\r\n\r\ncHN0"), []byte("\r\n> "), uint16(46))
	f.Fuzz(func(t *testing.T, before, after []byte, split uint16) {
		found(t, string(before)+string(after))
		at := int(split) % len(token)
		text := string(before) + "\r\n\r\n" + token[:at] + "\r\n> " + token[at:] + string(after)
		n := 0
		err := searchTokens(strings.NewReader(text), func(s string) error {
			if s == token {
				n++
			}
			return nil
		})
		if err != nil || n == 0 {
			t.Errorf("found %d times, %v", n, err)
		}
	})
}

func BenchmarkLeaks(b *testing.B) {
	text := "Subject: x\r\n\r\n" + strings.Repeat("The quick brown fox jumps over the lazy dog, and then does it again. 0123456789\r\n", 50)
	r := strings.NewReader(text)
	s := message.Parse(r, r.Size())
	b.SetBytes(r.Size())
	b.ReportAllocs()
	for b.Loop() {
		searchMessage(r, s, nil, func(string) error { return nil })
	}
}
