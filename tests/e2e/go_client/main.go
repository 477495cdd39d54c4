// Story tells what the suite does, from Go: a table is imported, scanned for what is odd, a model is
// searched, a network is trained, what was found is made smaller and looked into.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	analyzerv1 "aimass.example/story/stubs/aimass/analyzer/v1"
	catalogv1 "aimass.example/story/stubs/aimass/catalog/v1"
	outlierv1 "aimass.example/story/stubs/aimass/outlier/v1"
	prunerv1 "aimass.example/story/stubs/aimass/pruner/v1"
	trainerv1 "aimass.example/story/stubs/aimass/trainer/v1"
	tunerv1 "aimass.example/story/stubs/aimass/tuner/v1"
	typev1 "aimass.example/story/stubs/aimass/type/v1"
)

func main() {
	file := flag.String("data", "", "CSV file to learn from")
	target := flag.String("target", "", "column to predict")
	name := flag.String("name", "go-story", "id of the data set and of the models")
	budget := flag.Duration("budget", 15*time.Second, "how long to search for a model")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := story(ctx, *file, *target, *name, *budget); err != nil {
		fmt.Fprintln(os.Stderr, explain(err))
		os.Exit(1)
	}
}

func story(ctx context.Context, file, target, name string, budget time.Duration) error {
	s, err := connect()
	if err != nil {
		return err
	}
	data, err := s.importTable(ctx, file, target, name)
	if err != nil {
		return err
	}
	if err := s.scan(ctx, data); err != nil {
		return err
	}
	found, err := s.tune(ctx, data, name, budget)
	if err != nil {
		return err
	}
	if err := s.train(ctx, data, name+"-mlp"); err != nil {
		return err
	}
	smaller, err := s.prune(ctx, found)
	if err != nil {
		return err
	}
	return s.analyse(ctx, found, smaller)
}

func (s *suite) importTable(ctx context.Context, file, target, name string) (string, error) {
	fmt.Println("Importing", file)
	upload, err := s.upload(ctx, file)
	if err != nil {
		return "", err
	}
	// The pruner judges on rows that nothing has learned from.
	split := &catalogv1.SplitSpec{ValidationFraction: proto.Float64(0.2), TestFraction: proto.Float64(0.25)}
	run, err := s.datasets.CreateDatasetImport(ctx, &catalogv1.CreateDatasetImportRequest{
		DatasetImport: &catalogv1.DatasetImport{Spec: &catalogv1.DatasetImportSpec{
			Dataset: "datasets/" + name, Upload: upload, Target: target, Split: split,
		}},
	})
	if err != nil {
		return "", err
	}
	watched := &catalogv1.WatchDatasetImportRequest{Name: run.Name}
	if err := follow(ctx, s.datasets.WatchDatasetImport, watched); err != nil {
		return "", err
	}
	run, err = s.datasets.GetDatasetImport(ctx, &catalogv1.GetDatasetImportRequest{Name: run.Name})
	fmt.Println("Imported", run.GetDatasetVersion())
	return run.GetDatasetVersion(), err
}

func (s *suite) scan(ctx context.Context, data string) error {
	fmt.Println("Scanning", data)
	run, err := s.outliers.CreateOutlierScan(ctx, &outlierv1.CreateOutlierScanRequest{
		OutlierScan: &outlierv1.OutlierScan{Spec: &outlierv1.OutlierScanSpec{DatasetVersion: data}},
	})
	if err != nil {
		return err
	}
	watched := &outlierv1.WatchOutlierScanRequest{Name: run.Name}
	if err := follow(ctx, s.outliers.WatchOutlierScan, watched); err != nil {
		return err
	}
	page, err := s.outliers.ListAnomalies(ctx, &outlierv1.ListAnomaliesRequest{Parent: run.Name, PageSize: 3})
	for _, each := range page.GetAnomalies() {
		fmt.Printf("Odd: row %d, score %.2f, probability %.2f\n", each.Row, each.Score, each.Probability)
	}
	return err
}

func (s *suite) tune(ctx context.Context, data, name string, budget time.Duration) (string, error) {
	fmt.Println("Searching for a model of", data)
	run, err := s.tuner.CreateTuningRun(ctx, &tunerv1.CreateTuningRunRequest{
		TuningRun: &tunerv1.TuningRun{Spec: &tunerv1.TuningSpec{
			DatasetVersion: data, Model: "models/" + name, Budget: durationpb.New(budget),
		}},
	})
	if err != nil {
		return "", err
	}
	watched := &tunerv1.WatchTuningRunRequest{Name: run.Name}
	if err := follow(ctx, s.tuner.WatchTuningRun, watched); err != nil {
		return "", err
	}
	run, err = s.tuner.GetTuningRun(ctx, &tunerv1.GetTuningRunRequest{Name: run.Name})
	fmt.Printf("Found %s: %s\n", run.GetModelVersion(), run.GetSummary().GetVerdict())
	return run.GetModelVersion(), err
}

func (s *suite) train(ctx context.Context, data, name string) error {
	fmt.Println("Training a network on", data)
	network := &typev1.NetworkSpec{Kind: &typev1.NetworkSpec_Mlp{
		Mlp: &typev1.MlpNetwork{HiddenWidths: []int32{32, 16}},
	}}
	run, err := s.trainings.CreateTrainingRun(ctx, &trainerv1.CreateTrainingRunRequest{
		TrainingRun: &trainerv1.TrainingRun{Spec: &trainerv1.TrainingSpec{
			DatasetVersion: data, Model: "models/" + name, Network: network, Epochs: proto.Int32(10),
		}},
	})
	if err != nil {
		return err
	}
	watched := &trainerv1.WatchTrainingRunRequest{Name: run.Name}
	if err := follow(ctx, s.trainings.WatchTrainingRun, watched); err != nil {
		return err
	}
	run, err = s.trainings.GetTrainingRun(ctx, &trainerv1.GetTrainingRunRequest{Name: run.Name})
	fmt.Printf("Trained %s: accuracy %.3f\n", run.GetModelVersion(), run.GetMetrics()["validation/accuracy"])
	return err
}

// prune returns the smaller model; none where nothing is better than the original.
func (s *suite) prune(ctx context.Context, model string) (string, error) {
	fmt.Println("Making", model, "smaller")
	run, err := s.pruner.CreatePruningRun(ctx, &prunerv1.CreatePruningRunRequest{
		PruningRun: &prunerv1.PruningRun{Spec: &prunerv1.PruningSpec{
			ModelVersion: model, Budget: durationpb.New(20 * time.Second), Compare: proto.Bool(false),
			Gain: prunerv1.Gain_GAIN_SIZE, Metric: "accuracy", MaxLoss: proto.Float64(0.05),
		}},
	})
	if err != nil {
		return "", err
	}
	watched := &prunerv1.WatchPruningRunRequest{Name: run.Name}
	if err := follow(ctx, s.pruner.WatchPruningRun, watched); err != nil {
		return "", err
	}
	run, err = s.pruner.GetPruningRun(ctx, &prunerv1.GetPruningRunRequest{Name: run.Name})
	for _, reason := range run.GetSummary().GetReasons() {
		fmt.Println("Recommended", run.GetSummary().GetRecommended()+":", reason)
	}
	return run.GetModelVersion(), err
}

// analyse looks into a model, and compares the smaller one with it where there is one.
func (s *suite) analyse(ctx context.Context, model, smaller string) error {
	fmt.Println("Looking into", model, smaller)
	spec := &analyzerv1.AnalysisSpec{ModelVersion: model, Budget: durationpb.New(20 * time.Second)}
	if smaller != "" {
		spec.Challengers = []string{smaller}
	}
	run, err := s.analyzer.CreateAnalysis(ctx, &analyzerv1.CreateAnalysisRequest{
		Analysis: &analyzerv1.Analysis{Spec: spec},
	})
	if err != nil {
		return err
	}
	watched := &analyzerv1.WatchAnalysisRequest{Name: run.Name}
	if err := follow(ctx, s.analyzer.WatchAnalysis, watched); err != nil {
		return err
	}
	run, err = s.analyzer.GetAnalysis(ctx, &analyzerv1.GetAnalysisRequest{Name: run.Name})
	fmt.Printf("Analysed %s: %s\n", run.GetName(), run.GetSummary().GetVerdict())
	return err
}
