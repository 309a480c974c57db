package dns

import (
	"errors"
	"time"
)

// Classes of failure, for errors.Is. See the package comment.
var (
	ErrNotFound  = errors.New("no such record")
	ErrNoDomain  = errors.New("no such domain")
	ErrNoData    = errors.New("the domain has no record of this type")
	ErrNullMX    = errors.New("the domain accepts no mail")
	ErrTemporary = errors.New("temporary failure of name resolution")
	ErrName      = errors.New("not a domain name")
)

// Error is the failure of one lookup.
type Error struct {
	Name  string // as asked
	Type  string // "MX", "TXT", "A", "AAAA", "PTR" or "TLSA"
	Class error  // ErrNoDomain, ErrNoData, ErrNullMX, ErrTemporary or ErrName
	Cause error  // may be nil; for people

	// TTL is how long a no may be kept (RFC 2308, section 5). Zero: nobody said.
	TTL time.Duration
	// Authentic reports that the no was validated by DNSSEC.
	Authentic bool
}

// Error says what was asked, and what went wrong.
func (e *Error) Error() string {
	s := "dns: " + e.Type + " " + e.Name + ": " + e.Class.Error()
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

// Is makes ErrNotFound match both of its refinements.
func (e *Error) Is(target error) bool {
	return target == e.Class ||
		target == ErrNotFound && (e.Class == ErrNoDomain || e.Class == ErrNoData)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Temporary reports that asking again later may help, as in package net.
func (e *Error) Temporary() bool { return e.Class == ErrTemporary }
