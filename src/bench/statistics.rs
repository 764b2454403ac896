//! Statistics of few repetitions: three to ten numbers, not thousands.
//!
//! Intervals are Student's t at 95 %. Two samples are compared by **Welch's t-test on logarithms**: the difference of two mean
//! logarithms is the logarithm of a ratio, so the interval is one of "B is so many times A"; variances may differ; and it works from
//! two repetitions a side. Rank tests (Mann-Whitney) can't: with three against three their smallest possible p is 0.1, so they
//! could never say "faster". The price is an assumption: repetitions scatter about log-normally, as rates and percentiles of honest
//! repetitions do. With one repetition there is no interval, and no verdict.

/// How sure the intervals are.
pub const CONFIDENCE: f64 = 0.95;

/// What a few numbers say about where they come from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// How many numbers.
    pub count: usize,
    /// The middle one, or the average of the two in the middle.
    pub median: f64,
    /// The average.
    pub mean: f64,
    /// The mean lies within plus or minus this with 95 % confidence; `None` for a single number.
    pub half_width: Option<f64>,
}

/// A ratio and where it lies with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// Geometric mean of the second sample over that of the first.
    pub ratio: f64,
    /// The interval; `None` if a side has a single number.
    pub interval: Option<(f64, f64)>,
}

/// Median, mean and interval; `None` without numbers.
pub fn estimate(sample: &[f64]) -> Option<Estimate> {
    if sample.is_empty() {
        return None;
    }
    let (mean, variance) = mean_and_variance(sample);
    let count = sample.len();
    let half_width =
        variance.map(|variance| t_quantile(half_open(), count as f64 - 1.0) * (variance / count as f64).sqrt());
    Some(Estimate { count, median: median(sample), mean, half_width })
}

/// The middle number; the average of both if there are two. NaN without any.
pub fn median(sample: &[f64]) -> f64 {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
    }
}

/// How many times `base` the numbers of `other` are. `None` if a side is empty or has a number that is not above zero.
pub fn ratio(base: &[f64], other: &[f64]) -> Option<Ratio> {
    let logs = |sample: &[f64]| -> Option<Vec<f64>> {
        let usable = !sample.is_empty() && sample.iter().all(|value| *value > 0.0 && value.is_finite());
        usable.then(|| sample.iter().map(|value| value.ln()).collect())
    };
    let (base, other) = (logs(base)?, logs(other)?);
    let ((base_mean, base_variance), (other_mean, other_variance)) =
        (mean_and_variance(&base), mean_and_variance(&other));
    let difference = other_mean - base_mean;
    let half_width = base_variance.zip(other_variance).map(|(base_variance, other_variance)| {
        let (of_base, of_other) = (base_variance / base.len() as f64, other_variance / other.len() as f64);
        let squared_error = of_base + of_other;
        if squared_error == 0.0 {
            return 0.0;
        }
        // Welch-Satterthwaite.
        let freedom = squared_error.powi(2)
            / (of_base.powi(2) / (base.len() as f64 - 1.0) + of_other.powi(2) / (other.len() as f64 - 1.0));
        t_quantile(half_open(), freedom) * squared_error.sqrt()
    });
    let interval = half_width.map(|half| ((difference - half).exp(), (difference + half).exp()));
    Some(Ratio { ratio: difference.exp(), interval })
}

/// 95 % in the middle leave 2.5 % at either end.
fn half_open() -> f64 {
    1.0 - (1.0 - CONFIDENCE) / 2.0
}

/// The variance is that of the population (n - 1); `None` for a single number.
fn mean_and_variance(sample: &[f64]) -> (f64, Option<f64>) {
    let count = sample.len() as f64;
    let mean = sample.iter().sum::<f64>() / count;
    let squares: f64 = sample.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (sample.len() > 1).then(|| squares / (count - 1.0)))
}

/// The value that Student's t with `freedom` degrees of freedom stays below with probability `probability` (above one half).
pub fn t_quantile(probability: f64, freedom: f64) -> f64 {
    assert!((0.5..1.0).contains(&probability) && freedom > 0.0);
    let (mut low, mut high) = (0.0, 1.0);
    while t_below(high, freedom) < probability {
        high *= 2.0;
    }
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if t_below(middle, freedom) < probability { low = middle } else { high = middle }
    }
    f64::midpoint(low, high)
}

/// Probability of a value below `t` (not negative): 1 - I(freedom / (freedom + t^2); freedom / 2, 1 / 2) / 2.
fn t_below(t: f64, freedom: f64) -> f64 {
    1.0 - incomplete_beta(freedom / (freedom + t * t), freedom / 2.0, 0.5) / 2.0
}

/// The regularised incomplete beta function, by its continued fraction (DLMF 8.17.22), evaluated by Lentz's method.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    // The fraction converges fast below the mean; above it, the mirrored one does.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    const TINY: f64 = 1e-300;
    let front = (a * x.ln() + b * (1.0 - x).ln() + ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b)).exp() / a;
    let (mut result, mut c, mut d) = (1.0_f64, 1.0_f64, 0.0_f64);
    for step in 0..400 {
        let m = f64::from(step / 2);
        let numerator = match step {
            0 => 1.0,
            step if step % 2 == 0 => m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m)),
            _ => -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0)),
        };
        d = 1.0 / keep_off_zero(1.0 + numerator * d, TINY);
        c = keep_off_zero(1.0 + numerator / c, TINY);
        result *= c * d;
        if (1.0 - c * d).abs() < 1e-14 {
            break;
        }
    }
    front * (result - 1.0)
}

fn keep_off_zero(value: f64, tiny: f64) -> f64 {
    if value.abs() < tiny { tiny } else { value }
}

/// Logarithm of the gamma function of a positive number: Stirling's series, after shifting the argument above 10.
fn ln_gamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 10.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series = (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse / 1680.0))) / x;
    shift + (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_t_are_those_of_the_tables() {
        for (freedom, expected) in
            [(1.0, 12.706), (2.0, 4.303), (3.0, 3.182), (5.0, 2.571), (10.0, 2.228), (30.0, 2.042), (1e6, 1.960)]
        {
            let found = t_quantile(0.975, freedom);
            assert!((found - expected).abs() < 6e-4, "t(0.975; {freedom}) = {found}, the tables say {expected}");
        }
        assert!((t_quantile(0.95, 4.0) - 2.132).abs() < 6e-4);
    }

    #[test]
    fn an_estimate_is_what_one_computes_by_hand() {
        // Mean 12, squares 4 + 0 + 4, variance 4, standard error 2 / sqrt(3), times 4.303.
        let found = estimate(&[14.0, 10.0, 12.0]).expect("there are numbers");
        assert_eq!((found.count, found.median, found.mean), (3, 12.0, 12.0));
        let half = found.half_width.expect("there are several");
        assert!((half - 4.303 * 2.0 / 3.0_f64.sqrt()).abs() < 1e-3, "{half}");
    }

    #[test]
    fn one_number_has_no_interval() {
        let found = estimate(&[7.0]).expect("there is a number");
        assert_eq!((found.median, found.half_width), (7.0, None));
        assert_eq!(ratio(&[1.0], &[2.0, 2.1]).expect("a ratio").interval, None);
        assert_eq!(estimate(&[]), None);
    }

    #[test]
    fn a_ratio_is_what_one_computes_by_hand() {
        // Logarithms base 2: 0, 1, 2 against 2, 3, 4: difference 2, so four times; both variances 1, four degrees of freedom,
        // standard error sqrt(2/3), t = 2.776: 2 -+ 2.267 in base 2.
        let found = ratio(&[1.0, 2.0, 4.0], &[4.0, 8.0, 16.0]).expect("a ratio");
        assert!((found.ratio - 4.0).abs() < 1e-12);
        let (low, high) = found.interval.expect("an interval");
        let half = 2.776 * (2.0_f64 / 3.0).sqrt();
        assert!((low.log2() - (2.0 - half)).abs() < 1e-3, "{low}");
        assert!((high.log2() - (2.0 + half)).abs() < 1e-3, "{high}");
    }

    #[test]
    fn what_is_not_above_zero_has_no_ratio() {
        assert_eq!(ratio(&[0.0, 1.0], &[1.0, 1.0]), None);
        assert_eq!(ratio(&[], &[1.0]), None);
        assert_eq!(ratio(&[1.0], &[f64::NAN]), None);
    }

    #[test]
    fn medians_of_even_samples_are_between() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert!(median(&[]).is_nan());
    }
}
