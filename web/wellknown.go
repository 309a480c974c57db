package web

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"postern/dns"
)

// Paths.
const (
	pathChallenge    = "/.well-known/acme-challenge/"
	pathPolicy       = "/.well-known/mta-sts.txt"
	pathConfig       = "/mail/config-v1.1.xml"
	pathConfigHere   = "/.well-known/autoconfig/mail/config-v1.1.xml"
	pathAutodiscover = "/autodiscover/autodiscover.xml" // in any case of letters
	pathProfile      = "/profile.mobileconfig"
)

// Handler answers requests, of port 443 when secure and otherwise of port 80.
func (s *Server) Handler(secure bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		err := s.route(w, r, secure)
		switch {
		case err == nil:
		case errors.Is(err, ErrUnknown):
			refuse(w, http.StatusNotFound)
		case errors.As(err, new(status)):
			refuse(w, int(asStatus(err)))
		default:
			s.c.Log.Error("a well-known file cannot be answered", "error", err)
			refuse(w, http.StatusServiceUnavailable)
		}
	})
}

// status is a refusal by its code.
type status int

func (s status) Error() string { return http.StatusText(int(s)) }

func asStatus(err error) (s status) {
	errors.As(err, &s)
	return s
}

func refuse(w http.ResponseWriter, code int) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	io.WriteString(w, http.StatusText(code)+"\n")
}

// route finds who answers.
func (s *Server) route(w http.ResponseWriter, r *http.Request, secure bool) error {
	host, ok := hostOf(r)
	if !ok {
		return status(http.StatusBadRequest)
	}
	path := r.URL.Path
	if token, ok := strings.CutPrefix(path, pathChallenge); ok {
		return s.challenge(w, r, host, token)
	}
	if strings.EqualFold(path, pathAutodiscover) {
		path = pathAutodiscover
	}
	var answer func(http.ResponseWriter, *http.Request, string) error
	switch path {
	case pathPolicy:
		answer = s.policy
	case pathConfig, pathConfigHere:
		answer = s.config
	case pathAutodiscover:
		answer = s.autodiscover
	case pathProfile:
		answer = s.profile
	default:
		return ErrUnknown
	}
	if !secure {
		return s.redirect(w, r, host)
	}
	return answer(w, r, host)
}

// hostOf is the name that a request is for, without its port.
func hostOf(r *http.Request) (string, bool) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host, err := dns.Name(host)
	return host, err == nil
}

// reads reports whether a request only reads.
func reads(w http.ResponseWriter, r *http.Request) error {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	w.Header().Set("Allow", "GET, HEAD")
	return status(http.StatusMethodNotAllowed)
}

// challenge answers a certificate authority: exactly what is expected for this
// name and token, and never what a stranger could choose.
func (s *Server) challenge(w http.ResponseWriter, r *http.Request, host, token string) error {
	if err := reads(w, r); err != nil {
		return err
	}
	if s.c.Challenge == nil {
		return ErrUnknown
	}
	text, ok := s.c.Challenge(host, token)
	if !ok {
		return ErrUnknown
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	_, err := io.WriteString(w, text)
	return ignore(err)
}

// ignore drops what a peer that went away causes.
func ignore(error) error { return nil }

// redirect sends who asks in clear to port 443, under the name that was asked,
// where that is one of this server's. A question with a body is not repeated: it
// went in clear already, and a program that is told so mends its ways.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request, host string) error {
	if err := reads(w, r); err != nil {
		return err
	}
	if _, err := s.domainOf(r, host); err != nil {
		return err
	}
	to := url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawQuery: r.URL.RawQuery}
	w.Header().Set("Location", to.String())
	w.WriteHeader(http.StatusFound)
	return nil
}

// services are the labels before a domain under which its files are looked for.
var services = []string{"mta-sts.", "autoconfig.", "autodiscover."}

// domainOf finds the domain that a name belongs to: the one after a service's
// label, or the name itself. Under this server's own name it is the domain of the
// address that the question names.
func (s *Server) domainOf(r *http.Request, host string) (Domain, error) {
	for _, label := range services {
		if name, ok := strings.CutPrefix(host, label); ok {
			return s.c.Domain(r.Context(), name)
		}
	}
	if host != s.c.Host {
		return s.c.Domain(r.Context(), host)
	}
	for _, key := range []string{"emailaddress", "email"} {
		if address, ok := parseAddress(r.URL.Query().Get(key)); ok {
			return s.c.Domain(r.Context(), address.Domain)
		}
	}
	if strings.EqualFold(r.URL.Path, pathAutodiscover) {
		return Domain{Name: s.c.Host}, nil // the domain stands in the body
	}
	return Domain{}, ErrUnknown
}

// policy answers with a domain's MTA-STS policy, under the one name that RFC 8461,
// section 3.3 has for it.
func (s *Server) policy(w http.ResponseWriter, r *http.Request, host string) error {
	if err := reads(w, r); err != nil {
		return err
	}
	name, ok := strings.CutPrefix(host, "mta-sts.")
	if !ok {
		return ErrUnknown
	}
	d, err := s.c.Domain(r.Context(), name)
	if err != nil {
		return err
	}
	if d.Policy == "" {
		return ErrUnknown
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, err = io.WriteString(w, d.Policy)
	return ignore(err)
}
