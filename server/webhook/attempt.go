package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"postern/storage"
)

// result is how one attempt ended.
type result struct {
	rule  string // of Postern's own words: "ok", "status", "timeout", …
	code  int    // status of the reply; 0 when there was none
	after time.Duration
	took  time.Duration
}

func (r result) ok() bool { return r.rule == "ok" }

// gone reports whether the other side does not want to be told any more.
func (r result) gone() bool { return r.code == http.StatusGone }

// attempt tells one thing to one webhook.
func (s *Sender) attempt(ctx context.Context, w *storage.Webhook, id string, payload []byte) result {
	began := time.Now()
	r := s.post(ctx, w, id, payload)
	r.took = time.Since(began)
	return r
}

func (s *Sender) post(ctx context.Context, w *storage.Webhook, id string, payload []byte) result {
	if checkURL(w.URL, s.o.AllowPrivate) != nil {
		return result{rule: "url"} // allowed by a configuration of before
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(payload))
	if err != nil {
		return result{rule: "url"}
	}
	at := s.o.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Postern")
	req.Header.Set("webhook-id", id)
	req.Header.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	req.Header.Set("webhook-signature", signatures(w.Secrets, id, at, payload))
	resp, err := s.client.Do(req)
	if err != nil {
		return result{rule: ruleOf(err)}
	}
	defer resp.Body.Close()
	io.CopyN(io.Discard, resp.Body, maxReply)
	if resp.StatusCode/100 == 2 {
		return result{rule: "ok", code: resp.StatusCode}
	}
	r := result{rule: "status", code: resp.StatusCode}
	if resp.StatusCode/100 == 3 {
		r.rule = "redirect"
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		r.after = min(time.Duration(min(seconds, 1<<20))*time.Second, maxRetryAfter)
	}
	return r
}

// maxRetryAfter bounds what a reply may ask for (RFC 9110, section 10.2.3).
const maxRetryAfter = 24 * time.Hour

// ruleOf is the word for what was in the way.
func ruleOf(err error) string {
	var timeout interface{ Timeout() bool }
	var certificate *tls.CertificateVerificationError
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return "stopped"
	case errors.Is(err, errPrivate):
		return "private-address"
	case errors.Is(err, errLookup):
		return "lookup"
	case errors.As(err, &certificate):
		return "certificate"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &op) && op.Op == "dial":
		return "connect"
	}
	return "protocol"
}
