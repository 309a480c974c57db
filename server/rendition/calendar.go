package rendition

import (
	"bytes"
	"strings"
)

// maxProperties is how many lines of a calendar are kept.
const maxProperties = 5000

// properties of a calendar that it shows, or that a reply needs (RFC 5545, section 3.8). All
// others, X- and IANA's among them, are gone: descriptions in HTML, attachments, comments.
var properties = func() map[string]bool {
	m := map[string]bool{}
	for _, name := range strings.Fields(`BEGIN END VERSION METHOD CALSCALE UID SEQUENCE DTSTAMP DTSTART DTEND DUE DURATION RRULE RDATE EXDATE
		RECURRENCE-ID SUMMARY DESCRIPTION LOCATION STATUS TRANSP CLASS PRIORITY ORGANIZER ATTENDEE TZID TZOFFSETFROM TZOFFSETTO TZNAME
		CREATED LAST-MODIFIED COMPLETED PERCENT-COMPLETE GEO`) {
		m[name] = true
	}
	return m
}()

// components of a calendar that are kept; an alarm is not.
var components = map[string]bool{"VCALENDAR": true, "VEVENT": true, "VTODO": true, "VJOURNAL": true, "VFREEBUSY": true, "VTIMEZONE": true,
	"STANDARD": true, "DAYLIGHT": true}

// parameters of a property that are kept.
var parameters = map[string]bool{"TZID": true, "VALUE": true, "CN": true, "PARTSTAT": true, "ROLE": true, "RSVP": true, "CUTYPE": true, "RANGE": true}

// texts are properties whose value is anybody's text. Of the others, values are made of letters,
// digits and signs, without spaces.
var texts = map[string]bool{"SUMMARY": true, "DESCRIPTION": true, "LOCATION": true, "TZNAME": true}

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
		case name == "END" && !components[value], !properties[name] || kept == maxProperties:
			continue
		case !texts[name] && strings.ContainsAny(value, " <>\"\\"):
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
		if key = strings.ToUpper(key); parameters[key] && (key == "CN" || !strings.ContainsAny(v, " \"<>")) {
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

// statusFields are what of a delivery report says what became of the message (RFC 3464, section
// 2). The texts of servers in it are for people.
var statusFields = map[string]bool{"reporting-mta": true, "arrival-date": true, "original-recipient": true, "final-recipient": true, "action": true,
	"status": true, "last-attempt-date": true, "will-retry-until": true, "original-envelope-id": false}

// statusText rebuilds a delivery report.
func statusText(b []byte) []byte {
	var out []byte
	keep := false
	for line := range bytes.Lines(cleanText(b)) {
		switch {
		case line[0] == ' ' || line[0] == '\t': // folded: no field that is kept needs it
			continue
		case line[0] == '\n':
			out = append(out, '\n')
			continue
		}
		name, value, ok := strings.Cut(string(line), ":")
		keep = ok && statusFields[strings.ToLower(strings.TrimSpace(name))] && len(value) < 400 && !strings.ContainsAny(value, "()")
		if keep {
			out = append(out, line...)
		}
	}
	return out
}
