// Package chart draws the panel's pictures: inline SVG, made on the server from plain
// numbers, without a script and without a style attribute. A chart is a value that
// says what it shows, and renders itself as a templ component inside an element of
// class "fig".
//
// # What every chart keeps
//
// Geometry stands in attributes and colour in classes of the panel's style sheet, so
// that one drawing is right in both colour schemes and under a policy that allows no
// inline style. Each has a title, a description that says in a sentence what an eye
// would read off it, a title on every bar, and a table with the same numbers behind
// "Show as table". There are at most three series, named where they end and not in a
// legend; more are a mistake of the program and panic. Grey is the usual, the accent
// is the subject, and a colour of a state means that state alone.
//
// # Two drawings
//
// Text in a drawing never falls under 12 px: a chart with text is drawn once for wide
// screens, at most 1.15 times its size, and once more for phones. Strips without text
// ([Spark], [Heat]) stretch. Time runs to the right, and now is at the right edge.
//
// # Nothing to show
//
// A chart without steps says so in words; one whose numbers are all zero shows its
// axis and an empty field, since nothing happened is an answer.
package chart
