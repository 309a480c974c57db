package server

import (
	"context"
	"embed"
	"fmt"
	"io"
	"net/mail"
	"path"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// samples are messages that a laboratory's inboxes begin with: one that attacks
// its reader, and is put away, one that only talks about such attacks, and the
// ordinary kinds.
//
//go:embed samples/*.eml
var samples embed.FS

// sendSamples hands the samples in at port 25 like any other server: they take
// the way of all mail. They were written minutes before.
func (l *laboratory) sendSamples(ctx context.Context) error {
	names, err := samples.ReadDir("samples")
	if err != nil {
		return err
	}
	c, err := smtp.Dial(l.server.Addr("smtp").String())
	if err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if err := c.Hello(outsideHost); err != nil {
		return fmt.Errorf("samples: %w", err)
	}
	for i, name := range names {
		text, err := samples.ReadFile(path.Join("samples", name.Name()))
		if err != nil {
			return err
		}
		date := time.Now().Add(time.Duration(i-len(names)) * 3 * time.Minute)
		if err := sendSample(c, string(text), date); err != nil {
			return fmt.Errorf("sample %s: %w", name.Name(), err)
		}
	}
	return c.Quit()
}

// sendSample sends one message to whom its header says.
func sendSample(c *smtp.Client, text string, date time.Time) error {
	text = strings.Replace(text, "{date}", date.Format(time.RFC1123Z), 1)
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		return err
	}
	from, err := mail.ParseAddress(m.Header.Get("From"))
	if err != nil {
		return err
	}
	to, err := mail.ParseAddress(m.Header.Get("To"))
	if err != nil {
		return err
	}
	if err := c.Mail(from.Address, &smtp.MailOptions{Body: smtp.Body8BitMIME}); err != nil {
		return err
	}
	if err := c.Rcpt(to.Address, nil); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, strings.ReplaceAll(text, "\n", "\r\n")); err != nil {
		return err
	}
	return w.Close()
}
