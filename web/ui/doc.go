// Package ui is what the panel's pages are made of: the frame around them, the
// parts that recur in them, and the style sheet and scripts that they load.
// Components take what they show and call nothing, so that a page is tested by
// what it says.
//
// # Rules that the parts keep
//
// A state is a colour, an icon and a word, never a colour alone. What a person does
// is preceded by the sentence that the audit log will hold ([Says]). Every list ends
// with the command that prints the same ([Frame].Command). Times are shown in the
// viewer's zone, with UTC in the title. A page is complete without scripts; what
// scripts add is speed and keys.
//
// No page has an inline script or an inline style: the panel shows hostile mail, and
// its content security policy allows neither.
package ui
