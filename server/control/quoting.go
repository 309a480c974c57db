package control

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"postern/server/rendition"
	"postern/storage"
)

// TextLine is a line of a held message. One that is marked as somebody else's words
// is held against the message that is answered.
type TextLine struct {
	Text   string     `json:"text"`
	Quoted bool       `json:"quoted,omitempty"`
	Parts  []TextPart `json:"parts,omitempty"` // of a quoted line that differs: all of it
}

// TextPart is a part of a line: New are words that the message that is answered does not
// have there.
type TextPart struct {
	Text string `json:"text"`
	New  bool   `json:"new,omitempty"`
}

// Quoting says how what a held message quotes stands to the message that it answers.
type Quoting struct {
	Lines    int  `json:"lines"`    // that are marked as quoted
	Altered  int  `json:"altered"`  // of these, those that the answered message does not have like this
	Compared bool `json:"compared"` // false: no message is answered that is here
}

// Bounds of a comparison.
const (
	maxOriginal  = 64 << 10 // bytes of the text of the answered message
	maxLines     = 400      // of the held text
	maxLineWords = 400
	leastRun     = 8 // characters of at least two words in a row, of a line that differs, that count as quoted
)

// original is the text of the message that a held one answers, where its inbox has it,
// as words; ok is false where there is none.
func (s *Server) original(ctx context.Context, org, inbox uuid.UUID, answers string) (words string, ok bool, err error) {
	id, err := uuid.Parse(answers)
	if err != nil {
		return "", false, nil
	}
	_, w, err := s.copyIn(ctx, org, id, inbox)
	if errors.Is(err, storage.ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	body, err := w.inbox.OpenBody(ctx, &w.m)
	if errors.Is(err, storage.ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	defer body.Close()
	source, err := sourceOf(body, w.m.Content)
	if err != nil {
		return "", false, err
	}
	text, _, err := rendition.Text(source, maxOriginal)
	return inWords(text), err == nil, err
}

// inWords are the words of a text, each between two spaces: lines are broken anew by
// who quotes, and a quote in it may itself be marked as one.
func inWords(text string) string {
	var b strings.Builder
	b.WriteByte(' ')
	for line := range strings.Lines(text) {
		line, _ = unquoted(line)
		for word := range strings.FieldsSeq(line) {
			b.WriteString(word)
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// unquoted takes the marks of a quote off a line (RFC 3676, section 4.5).
func unquoted(line string) (text string, quoted bool) {
	for {
		rest, ok := strings.CutPrefix(strings.TrimLeft(line, " \t"), ">")
		if !ok {
			return line, quoted
		}
		line, quoted = rest, true
	}
}

// below is the line under which mail programs put the whole message that is answered or
// passed on, without marks.
var below = regexp.MustCompile(`^-{2,}\s*(?i:original message|forwarded message|original-nachricht)\s*-{2,}$`)

// headline is a line of the header that stands there again.
var headline = regexp.MustCompile(`^(From|To|Cc|Sent|Date|Subject|Reply-To): `)

// quoting cuts a text into lines, and holds what is quoted against the words of the
// message that is answered.
func quoting(text, original string, compared bool) (lines []TextLine, q Quoting) {
	q.Compared = compared
	under := false
	for line := range strings.Lines(text) {
		if len(lines) == maxLines {
			break
		}
		l := TextLine{Text: strings.TrimRight(line, "\r\n")}
		bare := strings.TrimSpace(l.Text)
		said, marked := unquoted(bare)
		switch {
		case below.MatchString(bare):
			under = true
		case marked, under && bare != "" && !headline.MatchString(bare):
			l.Quoted = true
		}
		if l.Quoted {
			q.Lines++
			if compared && !strings.Contains(original, inWords(said)) {
				l.Parts = against(l.Text, original)
				q.Altered++
			}
		}
		lines = append(lines, l)
	}
	return lines, q
}

// against parts a line into what the original has and what it does not: runs of words
// that stand in it in this order, unless they are so short that they stand everywhere.
func against(line, original string) (parts []TextPart) {
	at := 0
	for at < len(line) && strings.IndexByte("> \t", line[at]) >= 0 {
		at++
	}
	words := strings.Fields(line[at:])
	add := func(some []string, fresh bool) {
		text := strings.Join(some, " ")
		if n := len(parts); n > 0 && parts[n-1].New == fresh {
			parts[n-1].Text += " " + text
			return
		}
		parts = append(parts, TextPart{text, fresh})
	}
	if len(words) > maxLineWords {
		return []TextPart{{line[:at], false}, {line[at:], true}}
	}
	for i := 0; i < len(words); {
		run := i
		for run < len(words) && strings.Contains(original, " "+strings.Join(words[i:run+1], " ")+" ") {
			run++
		}
		if run-i >= 2 && len(strings.Join(words[i:run], " ")) >= leastRun {
			add(words[i:run], false)
			i = run
			continue
		}
		add(words[i:i+1], true)
		i++
	}
	if at > 0 {
		parts = append([]TextPart{{line[:at], false}}, parts...)
	}
	return parts
}
