//! Families of samples, and how they are written: the text format of Prometheus 0.0.4.

use prometheus::{
    TextEncoder,
    proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType},
};

use super::histogram::Reading;

/// Names and values.
pub(super) type Labels<'l> = &'l [(&'static str, &'l str)];

/// What is said of a server, family by family.
#[derive(Default)]
pub(super) struct Families(Vec<MetricFamily>);

impl Families {
    /// A number that only grows.
    pub(super) fn counter(&mut self, name: &str, help: &str) -> Samples<'_> {
        self.begin(name, help, MetricType::COUNTER)
    }

    /// A number that comes and goes.
    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Samples<'_> {
        self.begin(name, help, MetricType::GAUGE)
    }

    /// How values are distributed.
    pub(super) fn histogram(&mut self, name: &str, help: &str) -> Samples<'_> {
        self.begin(name, help, MetricType::HISTOGRAM)
    }

    fn begin(&mut self, name: &str, help: &str, kind: MetricType) -> Samples<'_> {
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        Samples {
            families: self,
            family,
        }
    }

    /// The text.
    ///
    /// # Errors
    /// A name that Prometheus does not take: a fault of the build.
    pub(super) fn text(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.0)
    }
}

/// A family while its samples are given. One without any is left out.
pub(super) struct Samples<'f> {
    families: &'f mut Families,
    family: MetricFamily,
}

#[allow(
    clippy::cast_precision_loss,
    reason = "Prometheus counts in floating point"
)]
impl Samples<'_> {
    /// A sample of a counter or gauge.
    pub(super) fn count(self, labels: Labels<'_>, value: u64) -> Self {
        self.value(labels, value as f64)
    }

    /// As [`Samples::count`].
    pub(super) fn value(mut self, labels: Labels<'_>, value: f64) -> Self {
        let mut metric = labelled(labels);
        if self.family.get_field_type() == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.family.mut_metric().push(metric);
        self
    }

    /// A sample of a histogram.
    pub(super) fn reading(mut self, labels: Labels<'_>, reading: &Reading) -> Self {
        let bucket = |(top, count): &(f64, u64)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*top);
            bucket.set_cumulative_count(*count);
            bucket
        };
        let mut histogram = Histogram::default();
        histogram.set_bucket(reading.buckets.iter().map(bucket).collect());
        histogram.set_sample_count(reading.count);
        histogram.set_sample_sum(reading.sum);
        let mut metric = labelled(labels);
        metric.set_histogram(histogram);
        self.family.mut_metric().push(metric);
        self
    }
}

impl Drop for Samples<'_> {
    fn drop(&mut self) {
        if !self.family.get_metric().is_empty() {
            self.families.0.push(std::mem::take(&mut self.family));
        }
    }
}

fn labelled(labels: Labels<'_>) -> Metric {
    let pair = |(name, value): &(&'static str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}
