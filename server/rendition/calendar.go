package rendition

import (
	"bytes"
	"slices"
	"strings"
)

// maxProperties is how many lines of a calendar are kept.
const maxProperties = 5000

// A form is what the value of a property looks like that is kept.
type form uint8

const (
	formNone  form = iota
	formText       // anybody's words, which a calendar shows
	formTime       // times, periods, numbers
	formRule       // a rule of recurrence
	formWord       // one of a few words
	formID         // letters and signs without a space
	formPlace      // the address of a person
)

// properties of a calendar that it shows, or that a reply needs (RFC 5545, section 3.8). All
// others, X- and IANA's among them, are gone: descriptions in HTML, attachments, comments.
var properties = map[string]form{
	"BEGIN": formWord, "END": formWord, "VERSION": formTime, "METHOD": formWord, "STATUS": formWord, "TRANSP": formWord,
	"UID": formID, "TZID": formID, "SEQUENCE": formTime, "PRIORITY": formTime, "PERCENT-COMPLETE": formTime,
	"DTSTAMP": formTime, "DTSTART": formTime, "DTEND": formTime, "DUE": formTime, "DURATION": formTime, "RDATE": formTime, "EXDATE": formTime,
	"RECURRENCE-ID": formTime, "COMPLETED": formTime, "TZOFFSETFROM": formTime, "TZOFFSETTO": formTime, "RRULE": formRule,
	"SUMMARY": formText, "DESCRIPTION": formText, "LOCATION": formText, "ORGANIZER": formPlace, "ATTENDEE": formPlace,
}

// components of a calendar that are kept; an alarm is not.
var components = map[string]bool{"VCALENDAR": true, "VEVENT": true, "VTODO": true, "VJOURNAL": true, "VFREEBUSY": true, "VTIMEZONE": true,
	"STANDARD": true, "DAYLIGHT": true}

// calendarWords are all words that a value or a parameter may be.
var calendarWords = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`PUBLISH REQUEST REPLY ADD CANCEL REFRESH COUNTER DECLINECOUNTER TENTATIVE CONFIRMED CANCELLED NEEDS-ACTION
		COMPLETED IN-PROCESS DRAFT FINAL OPAQUE TRANSPARENT ACCEPTED DECLINED DELEGATED CHAIR REQ-PARTICIPANT OPT-PARTICIPANT NON-PARTICIPANT
		TRUE FALSE INDIVIDUAL GROUP RESOURCE ROOM UNKNOWN DATE DATE-TIME PERIOD THISANDFUTURE
		SECONDLY MINUTELY HOURLY DAILY WEEKLY MONTHLY YEARLY`) {
		m[w] = true
	}
	return m
}()

// fits reports whether a value has a form.
func (f form) fits(value string) bool {
	switch f {
	case formText:
		return true
	case formTime:
		return strings.Trim(value, "0123456789TZPWDHMS,/:+-.") == ""
	case formRule:
		return strings.IndexFunc(value, func(r rune) bool { return !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=;,+-", r) }) < 0 && ruled(value)
	case formWord:
		return calendarWords[value] || components[value]
	case formID:
		return len(value) <= 250 && ascii(value) && !strings.ContainsAny(value, " <>\"\\")
	case formPlace:
		address, ok := strings.CutPrefix(strings.ToLower(value), "mailto:")
		return ok && linkText(address) && strings.Count(address, "@") == 1 && !strings.Contains(address, "?") && len(address) <= maxLink
	}
	return false
}

// ruled reports whether a rule of recurrence has parts of the standard alone (RFC 5545, section 3.3.10).
func ruled(rule string) bool {
	for part := range strings.SplitSeq(rule, ";") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "FREQ":
			if !calendarWords[value] {
				return false
			}
		case "UNTIL", "COUNT", "INTERVAL", "BYSECOND", "BYMINUTE", "BYHOUR", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYMONTH", "BYSETPOS":
			if strings.Trim(value, "0123456789TZ,+-") != "" {
				return false
			}
		case "BYDAY", "WKST":
			for day := range strings.SplitSeq(value, ",") {
				if n := len(day); n < 2 || !strings.Contains("MO TU WE TH FR SA SU", day[n-2:]) || strings.Trim(day[:n-2], "0123456789+-") != "" {
					return false
				}
			}
		default:
			return false
		}
	}
	return true
}

// parameter reports whether a parameter of a property is kept: words of the standard, the time
// zone, and the name of a person, which a calendar shows.
func parameter(key, value string) bool {
	switch key {
	case "CN":
		return true
	case "TZID":
		return formID.fits(value)
	case "VALUE", "PARTSTAT", "ROLE", "RSVP", "CUTYPE", "RANGE":
		return calendarWords[strings.ToUpper(value)]
	}
	return false
}

// calendarText rebuilds a calendar.
func calendarText(b []byte) []byte {
	b = bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n"))
	b = bytes.ReplaceAll(b, []byte("\n "), nil) // RFC 5545, section 3.1: folded
	b = bytes.ReplaceAll(b, []byte("\n\t"), nil)
	var out []byte
	kept, skipped := 0, ""
	for line := range bytes.Lines(b) {
		name, params, value, ok := property(cleanLine(string(line), 8000))
		switch {
		case !ok:
			continue
		case skipped != "":
			if name == "END" && value == skipped {
				skipped = ""
			}
			continue
		case name == "BEGIN" && !components[value]:
			skipped = value
			continue
		case name == "END" && !components[value], !properties[name].fits(value), kept == maxProperties:
			continue
		}
		kept++
		out = append(out, name+params+":"+value+"\n"...)
		if name == "BEGIN" && value == "VCALENDAR" {
			out = append(out, "PRODID:-//Postern//safe view//EN\n"...)
		}
	}
	return out
}

// property takes a line apart; params are those that are kept, each with a semicolon in front.
func property(line string) (name, params, value string, ok bool) {
	head, value, ok := cutUnquoted(line, ':')
	if !ok {
		return "", "", "", false
	}
	name, rest, _ := cutUnquoted(head, ';')
	for rest != "" {
		var p string
		p, rest, _ = cutUnquoted(rest, ';')
		key, v, _ := strings.Cut(p, "=")
		if key = strings.ToUpper(key); parameter(key, v) {
			params += ";" + key + "=" + v
		}
	}
	if name = strings.ToUpper(name); name == "BEGIN" || name == "END" {
		value, params = strings.ToUpper(strings.TrimSpace(value)), ""
	}
	return name, params, value, true
}

// cutUnquoted cuts at the first separator that is in no quotes.
func cutUnquoted(s string, sep byte) (before, after string, found bool) {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// methods of iTIP (RFC 5546, section 1.4).
var methods = []string{"PUBLISH", "REQUEST", "REPLY", "ADD", "CANCEL", "REFRESH", "COUNTER", "DECLINECOUNTER"}

// calendarMethod is the parameter of the type that repeats the method (RFC 6047, section 2.4).
func calendarMethod(text []byte) string {
	for _, m := range methods {
		if bytes.Contains(text, []byte("\nMETHOD:"+m+"\n")) {
			return "; method=" + m
		}
	}
	return ""
}

// statusText rebuilds a delivery report: for each recipient, what became of the message (RFC 3464,
// section 2.3). What servers say beside that, and their names, is for people who run them.
func statusText(b []byte) []byte {
	out := []byte("Reporting-MTA: dns; reporting-mta.invalid\n")
	blank := false
	for line := range bytes.Lines(cleanText(b)) {
		name, value, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), ":")
		switch value = strings.TrimSpace(value); {
		case line[0] == '\n':
			blank = true
		case ok && line[0] != ' ' && line[0] != '\t' && statusValue(strings.ToLower(strings.TrimSpace(name)), value):
			if blank {
				out = append(out, '\n')
			}
			blank = false
			out = append(out, line...)
		}
	}
	return out
}

// statusValue reports whether a field is kept, with that value.
func statusValue(name, value string) bool {
	switch name {
	case "action":
		return slices.Contains([]string{"failed", "delayed", "delivered", "relayed", "expanded"}, strings.ToLower(value))
	case "status":
		return len(value) <= 12 && strings.Trim(value, "0123456789.") == ""
	case "original-recipient", "final-recipient":
		kind, address, _ := strings.Cut(value, ";")
		address = strings.TrimSpace(address)
		return strings.EqualFold(strings.TrimSpace(kind), "rfc822") && linkText(address) && strings.Count(address, "@") == 1 && len(address) <= maxLink
	}
	return false
}
