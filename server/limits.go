package server

import (
	"postern/server/imapd"
	"postern/server/smtpd"
)

// smtp are the limits of the SMTP doors.
func (l LimitsConfig) smtp() smtpd.Limits {
	limits := smtpd.DefaultLimits()
	if l.Connections > 0 {
		limits.Conns = l.Connections
	}
	if l.PerNetwork > 0 {
		limits.PerAddress = l.PerNetwork
	}
	if l.Message > 0 {
		limits.Message = l.Message
	}
	return limits
}

// imap are the limits of the IMAP door. Whoever lets many come from one network
// means before their login too.
func (l LimitsConfig) imap() imapd.Limits {
	limits := imapd.DefaultLimits()
	if l.Connections > 0 {
		limits.Conns = l.Connections
	}
	if l.PerNetwork > 0 {
		limits.PerAddress, limits.Strangers = l.PerNetwork, l.PerNetwork
	}
	if l.Message > 0 {
		limits.Message = l.Message
	}
	return limits
}
