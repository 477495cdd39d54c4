package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"time"

	"github.com/google/uuid"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	analyzerv1 "aimass.example/story/stubs/aimass/analyzer/v1"
	catalogv1 "aimass.example/story/stubs/aimass/catalog/v1"
	outlierv1 "aimass.example/story/stubs/aimass/outlier/v1"
	prunerv1 "aimass.example/story/stubs/aimass/pruner/v1"
	trainerv1 "aimass.example/story/stubs/aimass/trainer/v1"
	tunerv1 "aimass.example/story/stubs/aimass/tuner/v1"
)

// A service takes at most a minute to check a request before it answers.
const deadline = 90 * time.Second

// A service that restarts is back in about a second; what is sent twice has a request id. An upload
// is not begun anew: it goes on from where it broke off.
const retries = `{"methodConfig": [
	{"name": [{}], "retryPolicy": {
		"maxAttempts": 5, "initialBackoff": "0.1s", "maxBackoff": "2s", "backoffMultiplier": 2,
		"retryableStatusCodes": ["UNAVAILABLE"]}},
	{"name": [{"service": "aimass.catalog.v1.TransferService", "method": "WriteUpload"}]}]}`

// suite holds a client for each service that the story needs.
type suite struct {
	datasets  catalogv1.DatasetServiceClient
	transfers catalogv1.TransferServiceClient
	outliers  outlierv1.OutlierServiceClient
	tuner     tunerv1.TunerServiceClient
	trainings trainerv1.TrainingServiceClient
	pruner    prunerv1.PrunerServiceClient
	analyzer  analyzerv1.AnalyzerServiceClient
}

// connect opens the suite that AIMASS_TOKEN and AIMASS_*_ADDRESS name.
func connect() (*suite, error) {
	channels := map[string]*grpc.ClientConn{}
	for _, service := range []string{"CATALOG", "OUTLIER", "TUNER", "TRAINER", "PRUNER", "ANALYZER"} {
		channel, err := dial("AIMASS_" + service + "_ADDRESS")
		if err != nil {
			return nil, err
		}
		channels[service] = channel
	}
	return &suite{
		datasets:  catalogv1.NewDatasetServiceClient(channels["CATALOG"]),
		transfers: catalogv1.NewTransferServiceClient(channels["CATALOG"]),
		outliers:  outlierv1.NewOutlierServiceClient(channels["OUTLIER"]),
		tuner:     tunerv1.NewTunerServiceClient(channels["TUNER"]),
		trainings: trainerv1.NewTrainingServiceClient(channels["TRAINER"]),
		pruner:    prunerv1.NewPrunerServiceClient(channels["PRUNER"]),
		analyzer:  analyzerv1.NewAnalyzerServiceClient(channels["ANALYZER"]),
	}, nil
}

func dial(variable string) (*grpc.ClientConn, error) {
	address, token := os.Getenv(variable), os.Getenv("AIMASS_TOKEN")
	if address == "" || token == "" {
		return nil, fmt.Errorf("%s or AIMASS_TOKEN is not set; try: eval \"$(aimass env)\"", variable)
	}
	transport, err := transportCredentials()
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(address,
		grpc.WithTransportCredentials(transport),
		grpc.WithPerRPCCredentials(bearer(token)),
		grpc.WithDefaultServiceConfig(retries),
		grpc.WithUnaryInterceptor(withDefaults),
		// A server that says nothing for half a minute is taken for dead.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{
			Time: 20 * time.Second, Timeout: 10 * time.Second, PermitWithoutStream: true,
		}),
	)
}

// transportCredentials returns TLS by the same variables that the suite itself reads.
func transportCredentials() (credentials.TransportCredentials, error) {
	authorities := os.Getenv("AIMASS_TLS_CA_FILE")
	if authorities == "" {
		return insecure.NewCredentials(), nil
	}
	pem, err := os.ReadFile(authorities)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: os.Getenv("AIMASS_TLS_SERVER_NAME")}
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", authorities)
	}
	if own := os.Getenv("AIMASS_TLS_CERT_FILE"); own != "" {
		pair, err := tls.LoadX509KeyPair(own, os.Getenv("AIMASS_TLS_KEY_FILE"))
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}

// bearer is a token that each call shows.
type bearer string

func (token bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(token)}, nil
}

// RequireTransportSecurity allows plain connections: a suite on this machine has no certificates.
func (bearer) RequireTransportSecurity() bool { return false }

// withDefaults gives each call a deadline and, where its kind has one, a request id: a repeated
// Create returns the first result then.
func withDefaults(ctx context.Context, method string, request, reply any, channel *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	fields := request.(proto.Message).ProtoReflect()
	if id := fields.Descriptor().Fields().ByName("request_id"); id != nil && !fields.Has(id) {
		fields.Set(id, protoreflect.ValueOfString(uuid.NewString()))
	}
	err := invoke(ctx, method, request, reply, channel, options...)
	if status.Code(err) == codes.DeadlineExceeded {
		return status.Errorf(codes.DeadlineExceeded, "%s gave no answer within %s", method, deadline)
	}
	return err
}
