// Package panel is the door for people with a browser: the administrators, the
// reviewers and the auditors of an installation.
//
// # It decides nothing
//
// A page asks the same commands that the command line asks ([control.Client]), in the
// session of the person who looks, and shows the answer. So a page can do nothing
// that the command cannot, passes the same gates, and leaves the same events; and the
// command that stands at the foot of a page really prints the same. One file has a
// noun: what it asks, what it shows, and which forms it takes.
//
// # It shows hostile mail
//
// No page has an inline script or style, markup enters a page through one policy
// (Trusted Types), no page loads anything from elsewhere, and none may be framed.
// What strangers wrote is text, or a picture of a message in a frame that has no
// scripts, no forms and no network. A form is taken only from a page of ours; nothing
// changes by a GET; pages are not kept by the browser.
//
// # It works without scripts
//
// Every act is a form and every list a link. Scripts add live counters, keys and
// the viewer's zone of time.
package panel
