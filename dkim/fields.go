package dkim

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrMessage is wrapped by every error that lies in the message and not in the
// key: no retry will help.
var ErrMessage = errors.New("the message cannot be signed")

// Bounds of the header of a message to be signed. They lie above what our
// doors accept.
const (
	maxHeader  = 1 << 20
	maxLine    = 1 << 16
	maxRepeats = 4 // of one field; keeps h= within a line of 998 octets (RFC 5322, section 2.1.1)
	// maxCopied bounds what the library copies to unfold fields: for each line the
	// field that it continues. A header of nearly empty lines would need gigabytes.
	maxCopied = 128 << 20
	// maxBlank bounds a run of blank lines, which the library holds in memory until
	// it sees whether something follows: trailing ones are not signed.
	maxBlank = 1 << 20
)

// oversigned fields are listed once more than they occur: what people see,
// what threads a conversation, what decides how a body is shown.
var oversigned = []string{
	"From", "Reply-To", "To", "Cc", "Subject", "Date", "Message-ID", "In-Reply-To", "References",
	"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition",
}

// signed fields are listed as often as they occur. A mailing list that adds a
// Sender of its own shall not break the signature; RFC 8058, section 4 wants
// the List-Unsubscribe pair covered.
var signed = []string{"Sender", "Auto-Submitted", "List-Id", "List-Unsubscribe", "List-Unsubscribe-Post"}

// fieldList returns the names for h= in order.
func fieldList(count map[string]int) ([]string, error) {
	if n := count["from"]; n != 1 {
		// RFC 5322, section 3.6. With several, no two programs agree who wrote it.
		return nil, fmt.Errorf("dkim: %w: %d From fields", ErrMessage, n)
	}
	var list []string
	for _, names := range [][]string{oversigned, signed} {
		for _, name := range names {
			n := count[strings.ToLower(name)]
			if n > maxRepeats {
				return nil, fmt.Errorf("dkim: %w: field %s %d times", ErrMessage, name, n)
			}
			if &names[0] == &oversigned[0] {
				n++
			}
			for range n {
				list = append(list, name)
			}
		}
	}
	return list, nil
}

// countFields counts the fields of a header by name in lower case. It reads
// names as the signing library does: what stands before the first colon,
// without the white space around it.
func countFields(r io.ReaderAt, size int64) (map[string]int, error) {
	br := bufio.NewReaderSize(io.NewSectionReader(r, 0, min(size, maxHeader)), int(min(size+1, maxLine)))
	count := make(map[string]int)
	field, copied := 0, 0 // octets of the field so far, and of what is copied for all of them
	for first := true; ; first = false {
		line, err := br.ReadSlice('\n')
		if err != nil {
			if err == io.EOF || err == bufio.ErrBufferFull {
				err = fmt.Errorf("dkim: %w: its header has no end, or is too large", ErrMessage)
			}
			return nil, err
		}
		n := len(line)
		line = bytes.TrimRight(line, "\r\n")
		switch {
		case len(line) == 0:
			return count, nil
		case line[0] == ' ' || line[0] == '\t':
			if first { // it would continue the signature that we put in front
				return nil, fmt.Errorf("dkim: %w: it begins with white space", ErrMessage)
			}
			field += n
			if copied += field; copied > maxCopied {
				return nil, fmt.Errorf("dkim: %w: its fields have too many lines", ErrMessage)
			}
			continue
		}
		field = n
		name, _, _ := bytes.Cut(line, []byte(":"))
		if len(name) <= 64 { // longer than every name that matters
			count[strings.ToLower(string(bytes.TrimSpace(name)))]++
		}
	}
}

// blankLines refuses a body with too long a run of them.
type blankLines struct{ run int }

func (b *blankLines) Write(p []byte) (int, error) {
	for _, c := range p {
		switch c {
		case '\r', '\n', ' ', '\t':
			b.run++
		default:
			b.run = 0
		}
		if b.run > maxBlank {
			return 0, fmt.Errorf("%w: it has too many blank lines", ErrMessage)
		}
	}
	return len(p), nil
}
