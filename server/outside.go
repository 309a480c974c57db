package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// outside plays every other mail server of the laboratory. It is a real SMTP
// server on loopback, so what leaves is signed, relayed and recorded like
// anywhere else; the laboratory's DNS names it as everybody's mail exchanger. It
// takes all mail and keeps none. Some local parts are answered otherwise, so
// that one can watch retries and reports:
//
//	temperror@   451, try again later
//	permerror@   550, no such user
//	timeout@     silence
type outside struct {
	server   *smtp.Server
	listener net.Listener
	log      *slog.Logger
	gone     chan struct{} // closed at the stop: ends the silences
}

// newOutside binds the server on a free port of loopback.
func newOutside(ctx context.Context, name string, config *tls.Config, log *slog.Logger) (*outside, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &outside{listener: l, log: log, gone: make(chan struct{})}
	o.server = smtp.NewServer(o)
	o.server.Domain = name
	o.server.TLSConfig = config
	o.server.EnableSMTPUTF8 = true
	o.server.ReadTimeout, o.server.WriteTimeout = time.Minute, time.Minute
	o.server.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug)
	return o, nil
}

// port is where the relay finds it.
func (o *outside) port() int { return o.listener.Addr().(*net.TCPAddr).Port }

func (o *outside) serve() {
	if err := o.server.Serve(o.listener); err != nil && !errors.Is(err, smtp.ErrServerClosed) {
		o.log.Error("the laboratory's outside world ended", "error", err)
	}
}

func (o *outside) close() {
	close(o.gone)
	o.server.Close()
}

// NewSession makes a session of the outside world.
func (o *outside) NewSession(*smtp.Conn) (smtp.Session, error) { return outsideSession{o}, nil }

type outsideSession struct{ o *outside }

// Mail takes every sender.
func (outsideSession) Mail(string, *smtp.MailOptions) error { return nil }

// Rcpt answers by the local part.
func (s outsideSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	local, _, _ := strings.Cut(to, "@")
	switch strings.ToLower(local) {
	case "temperror":
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Try again later"}
	case "permerror":
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user here"}
	case "timeout":
		select {
		case <-s.o.gone:
		case <-time.After(time.Minute): // longer than the relay of a laboratory waits
		}
	}
	return nil
}

// Data reads the message and forgets it.
func (s outsideSession) Data(r io.Reader) error {
	n, err := io.Copy(io.Discard, r)
	s.o.log.Info("the outside world took a message", "bytes", n)
	return err
}

// Reset and Logout have nothing to forget.
func (outsideSession) Reset() {}

// Logout ends the session.
func (outsideSession) Logout() error { return nil }
