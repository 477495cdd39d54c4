package main

import (
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// explain returns what an error says to a person: the sentence, the fields that are wrong, each
// with its cure, and the command that helps.
func explain(err error) string {
	said, ok := status.FromError(err)
	if !ok || said.Code() == codes.OK {
		return err.Error()
	}
	lines := []string{said.Code().String() + ": " + said.Message()}
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.BadRequest:
			for _, each := range detail.FieldViolations {
				line := each.Field + ": " + each.Description
				if line == said.Message() {
					lines[0] = said.Code().String() // what follows says the same
				}
				lines = append(lines, "  field "+line)
			}
		case *errdetails.Help:
			for _, link := range detail.Links {
				lines = append(lines, "  try: "+link.Description)
			}
		}
	}
	return strings.Join(lines, "\n")
}
